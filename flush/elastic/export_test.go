package elastic

import "time"

// SetClock makes the rests of nodes follow a clock of the test.
func (s *Sink) SetClock(now func() time.Time) { s.nodes.now = now }

// WithoutSimulate makes the probe ask scratch indices, as with a server that cannot simulate.
func (p *Probe) WithoutSimulate() *Probe {
	p.simulates = no
	return p
}
