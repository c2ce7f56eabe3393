// Package proc watches processes of the benchmarks: what one uses, and programs
// that start themselves again as a process of their own.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process uses at one moment.
type Usage struct {
	Own      int64         // resident bytes that no file backs
	Shared   int64         // resident bytes of files that it has mapped
	Peak     int64         // most resident bytes so far, own and shared
	Mappings int           // memory mappings
	Files    int           // open file descriptors
	CPU      time.Duration // processor time so far
}

// Look gives what a process uses. It fails once the process has ended.
func Look(pid int) (u Usage, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		size := func() int64 {
			kb, e := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if e != nil {
				err = fmt.Errorf("%s/status: %s: %w", dir, name, e)
			}
			return kb << 10
		}
		switch name {
		case "RssAnon":
			u.Own = size()
		case "RssFile", "RssShmem":
			u.Shared += size()
		case "VmHWM":
			u.Peak = size()
		}
	}
	if err != nil {
		return u, err
	}
	if u.CPU, err = processorTime(dir); err != nil {
		return u, err
	}
	maps, err := os.ReadFile(filepath.Join(dir, "maps"))
	if err != nil {
		return u, err
	}
	u.Mappings = bytes.Count(maps, []byte("\n"))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	u.Files = len(files)
	return u, err
}

func processorTime(dir string) (cpu time.Duration, err error) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const userTime, systemTime, tick = 11, 12, 10 * time.Millisecond // man 5 proc, less pid and name
	for _, at := range []int{userTime, systemTime} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s/stat: %w", dir, err)
		}
		cpu += time.Duration(n) * tick
	}
	return cpu, nil
}

// Max keeps the larger of each figure.
func (u *Usage) Max(v Usage) {
	u.Own, u.Shared, u.Peak = max(u.Own, v.Own), max(u.Shared, v.Shared), max(u.Peak, v.Peak)
	u.Mappings, u.Files, u.CPU = max(u.Mappings, v.Mappings), max(u.Files, v.Files), max(u.CPU, v.CPU)
}
