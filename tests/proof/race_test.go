//go:build race

package proof

// underRace tells that everything takes ten times as long.
const underRace = true
