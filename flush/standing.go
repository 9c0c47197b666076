package flush

import (
	"log/slog"
	"sync"
	"time"
)

// State says how a destination, or a stream's own index, takes documents.
type State string

// The states.
const (
	StateOK        State = "ok"
	StateSlow      State = "slow"      // answers take much longer than they used to
	StateRejecting State = "rejecting" // it says that it has too much to do
	StateDown      State = "down"      // no answer, or none that says what became of the documents
	StateParked    State = "parked"    // nothing is taken until an operator acts; it is asked now and then
)

// States lists all states, for metrics.
var States = []State{StateOK, StateSlow, StateRejecting, StateDown, StateParked}

// standing is a state with its history. Safe for concurrent use.
type standing struct {
	logger *slog.Logger // says of what

	mu    sync.Mutex
	state State
	since time.Time
	last  time.Time // when something that is not ok was seen last
	why   string
	tries int // failures since
}

// begin makes the state ok.
func (s *standing) begin(logger *slog.Logger) {
	s.logger, s.state, s.since = logger, StateOK, time.Now().UTC()
}

// settleTime is how long rejecting and slow last after the last sign of them: they come and go from request to request,
// and one line in the log says it.
const settleTime = 10 * time.Second

// become notes what a request told. A line is logged when the state changes.
func (s *standing) become(state State, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	if state == StateOK && (s.state == StateRejecting || s.state == StateSlow) && now.Sub(s.last) < settleTime {
		return
	}
	if state == StateSlow && s.state == StateRejecting {
		return // says more
	}
	if state != StateOK {
		s.last, s.why = now, why
		s.tries++
	}
	if state == s.state {
		return
	}
	was, lasted := s.state, now.Sub(s.since).Round(time.Millisecond)
	s.state, s.since = state, now
	switch state {
	case StateOK:
		s.logger.Info("takes documents again", "was", was, "for", lasted, "attempts", s.tries, "why", s.why)
		s.tries = 0
	case StateParked:
		s.logger.Error("takes nothing until somebody acts; it is asked now and then, nothing is lost, and other streams go on", "why", why)
	case StateSlow:
		s.logger.Info("answers take long; fewer requests at a time", "why", why)
	default:
		s.logger.Warn("does not take documents; they are sent again until it does", "state", state, "error", why)
	}
}

// Condition is a state for people: since when, and why where it is not ok.
type Condition struct {
	State    State     `json:"state"`
	Since    time.Time `json:"since,omitzero"`
	Last     time.Time `json:"last,omitzero"` // when it was seen last
	Why      string    `json:"why,omitempty"`
	Attempts int       `json:"attempts,omitempty"` // that failed since
}

func (s *standing) condition() Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (s.state == StateRejecting || s.state == StateSlow) && time.Since(s.last) >= settleTime {
		return Condition{State: StateOK, Since: s.last.Add(settleTime)} // nothing was sent since that would have said so
	}
	c := Condition{State: s.state, Since: s.since}
	if s.state != StateOK {
		c.Last, c.Why, c.Attempts = s.last, s.why, s.tries
	}
	return c
}
