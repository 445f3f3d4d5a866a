//go:build planted

package replog

import (
	"testing"

	"github.com/shebao-pay/shebao/si/planted"
)

// diskBugs is the seed by which crashes find each bug of the log on its disk.
var diskBugs = map[string]uint64{"ack-before-sync": 0, "segment-not-named": 0}

// TestPlantedDisk switches each of them on: its seed must find it.
func TestPlantedDisk(t *testing.T) {
	for _, name := range planted.DiskNames() {
		seed, ok := diskBugs[name]
		if !ok {
			t.Errorf("%s has no seed", name)
			continue
		}
		if err := planted.Set(name); err != nil {
			t.Fatal(err)
		}
		err := newLife(seed).crash(map[bool]int{})
		if err == nil {
			t.Errorf("%s: seed %d does not find it", name, seed)
			continue
		}
		t.Logf("%s, seed %d: %v", name, seed, err)
	}
}
