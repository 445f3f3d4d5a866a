//go:build !planted

package main

import "github.com/spf13/pflag"

// plantedFlag adds nothing to an ordinary build.
func plantedFlag(*pflag.FlagSet) {}
