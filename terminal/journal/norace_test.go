//go:build !race

package journal

const raceEnabled = 0
