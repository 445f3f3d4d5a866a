//go:build !race

package engine

// silentDays is how long the bank is silent in TestF7ThousandReversals.
const silentDays = 10
