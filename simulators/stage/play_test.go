package stage

import (
	"fmt"
	"testing"
)

// TestPlay plays every fault on one bank and the main ones on the others. One
// system serves citizen after citizen, as a kiosk does; a play that fails gets
// the next one a new system, so that each tells of itself alone.
func TestPlay(t *testing.T) {
	type play struct{ bank, fault string }
	var plays []play
	for _, f := range Faults {
		plays = append(plays, play{"ccb", f.Name})
	}
	for _, bank := range []string{"rcb", "icbc", "boc"} {
		for _, fault := range []string{"none", "bank-silent", "wrong-pin"} {
			plays = append(plays, play{bank, fault})
		}
	}
	var s *Stage
	for _, p := range plays {
		if s == nil {
			s = begin(t)
		}
		ok := t.Run(fmt.Sprintf("%s/%s", p.bank, p.fault), func(t *testing.T) {
			f, err := FindFault(p.fault)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.PlayCard(t.Context(), deal(t, s, p.bank), f, func(line string) { t.Log(line) })
			if err != nil {
				t.Errorf("play %s on %s: %v; got %+v", p.fault, p.bank, err, r)
			}
		})
		if !ok {
			s.Close()
			s = nil
			continue
		}
		s.Printer.SetFault(0)
		s.OnRequest(nil)
	}
	if s != nil {
		s.Close()
		verified(t, s)
	}
}
