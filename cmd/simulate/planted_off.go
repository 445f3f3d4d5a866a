//go:build !planted

package main

import "github.com/spf13/cobra"

// plantedFlag adds nothing to an ordinary build.
func plantedFlag(*cobra.Command) {}

// plantedArgs hands nothing on to a child.
func plantedArgs() []string { return nil }
