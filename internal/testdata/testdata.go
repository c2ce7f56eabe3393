// Package testdata finds the recordings that tests run against. They are not
// part of the project: tests that need them skip, saying so, where they are absent.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Env names the environment variable that overrides where the recordings are.
const Env = "CHRONICLE_TESTDATA"

// Path gives the path of a recording below the data folder, or skips the test.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(Dir(), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("recording %s is not here: set %s to the folder that holds it", name, Env)
	}
	return path
}

// Dir gives the folder of the recordings: $CHRONICLE_TESTDATA, or shared/data
// beside the project. It need not exist.
func Dir() string {
	if dir := os.Getenv(Env); dir != "" {
		return dir
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	return filepath.Join(root, "..", "shared", "data")
}
