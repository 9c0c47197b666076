package elastic

import "time"

// SetClock makes the rests of nodes follow a clock of the test.
func (s *Sink) SetClock(now func() time.Time) { s.nodes.now = now }
