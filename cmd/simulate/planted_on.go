//go:build planted

package main

import (
	"github.com/spf13/pflag"

	"github.com/shebao-pay/shebao/si/planted"
)

// plantedFlag lets this build switch a planted bug on.
func plantedFlag(fl *pflag.FlagSet) {
	fl.Func("planted", "switch a planted bug on, to see whether it is found", planted.Set)
}
