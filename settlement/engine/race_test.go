//go:build race

package engine

// silentDays is how long the bank is silent in TestF7ThousandReversals: under
// the race detector a day is as telling as ten and takes seconds.
const silentDays = 1
