//go:build race

package replog

const raceEnabled = 1
