package main

import (
	"context"

	"github.com/shebao-pay/shebao/simulators/stage"
)

// startPanel serves the hardware panel.
func startPanel(context.Context, *stage.Stage) error { return nil }
