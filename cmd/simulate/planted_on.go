//go:build planted

package main

import (
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/si/planted"
)

// plantedFlag lets this build switch a planted bug on.
func plantedFlag(c *cobra.Command) {
	c.Flags().Func("planted", "switch a planted bug on, to see whether it is found", planted.Set)
}

// plantedArgs hands the bug that is switched on to a child.
func plantedArgs() []string {
	if name := planted.Active(); name != "" {
		return []string{"--planted", name}
	}
	return nil
}
