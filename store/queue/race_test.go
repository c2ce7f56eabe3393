//go:build race

package queue

// raceDetector tells that the race detector is built in, which makes system calls
// of its own.
const raceDetector = true
