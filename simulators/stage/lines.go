package stage

import (
	"fmt"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/proxy"
)

// startLines opens the lines of a bank: one to its host, which stands at bank,
// and one from its counters to ours.
func (s *Stage) startLines(p *profile.Profile, bank string) error {
	if !s.cfg.Lines {
		return nil
	}
	open := func(name, listen, target string) error {
		line, err := proxy.Start(proxy.Config{Addr: listen, Target: target, Seed: s.cfg.Seed + uint64(len(s.Lines)), Split: bankhost.Split(p)})
		if err != nil {
			return fmt.Errorf("stage: line of %s: %w", name, err)
		}
		s.Lines[name] = line
		s.onStop(line.Close)
		return nil
	}
	if err := open(p.Code, addr(s.cfg.Ports.Banks[p.Code]), bank); err != nil {
		return err
	}
	if port, ok := s.cfg.Ports.Counters[p.Code]; ok {
		return open(p.Code+"/counter", "", addr(port))
	}
	return nil
}

// SetLines sets what happens on every line.
func (s *Stage) SetLines(plan proxy.Plan) {
	for _, l := range s.Lines {
		l.Set(plan)
	}
}

// SetMood sets what each request to a bank host meets; nil ends it.
func (s *Stage) SetMood(bank string, mood func(n int, k profile.Kind) bankhost.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moods == nil {
		s.moods = map[string]func(int, profile.Kind) bankhost.Fault{}
	}
	s.moods[bank] = mood
}

// counterAddr is where a bank's counters connect to: our server, or the line
// before it.
func (s *Stage) counterAddr(code string) (string, error) {
	if l, ok := s.Lines[code+"/counter"]; ok {
		return l.Addr(), nil
	}
	port, ok := s.cfg.Ports.Counters[code]
	if !ok {
		return "", fmt.Errorf("stage: bank %s has no counter link; rcb, ccb and boc have", code)
	}
	return addr(port), nil
}
