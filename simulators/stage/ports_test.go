package stage

import (
	"net"
	"strconv"
	"testing"
)

// TestFreePorts: no port is given twice, none that somebody uses, and none that
// outgoing connections may take.
func TestFreePorts(t *testing.T) {
	seen := map[int]bool{}
	for range 40 {
		p, err := FreePorts()
		if err != nil {
			t.Fatal(err)
		}
		all := []int{p.Kiosk, p.Panel, p.Pad, p.Terminals, p.Admin, p.TAdmin}
		for _, m := range []map[string]int{p.Banks, p.Counters} {
			for _, n := range m {
				all = append(all, n)
			}
		}
		for _, n := range all {
			if n < firstPort || n >= portsEnd || seen[n] {
				t.Errorf("port %d, given before: %v", n, seen[n])
			}
			seen[n] = true
			l, err := net.Listen("tcp", addr(n))
			if err != nil {
				t.Errorf("port %d: %v", n, err)
				continue
			}
			_ = l.Close()
			if claim, err := net.Listen("unix", "@shebao-port-"+strconv.Itoa(n)); err == nil {
				_ = claim.Close()
				t.Errorf("another process could claim port %d", n)
			}
		}
	}
}
