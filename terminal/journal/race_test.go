//go:build race

package journal

const raceEnabled = 1
