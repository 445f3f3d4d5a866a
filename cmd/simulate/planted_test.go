//go:build planted

package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPlantedCrash: the crash proof finds a planted bug of the log.
func TestPlantedCrash(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "planted"), RequireExplicitExec: true})
}
