package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
)

// streamNotes adds what an operator should know of a stream's delivery, besides what holds it up.
func streamNotes(s *flush.StreamStatus, add func(command, format string, args ...any)) {
	if s.Held > 0 {
		add("", "stream %s: %s of %s wait apart from the others, because what they go to does not take them", s.Name, counted(s.Held, "document", "documents"), humanBytes(s.HeldBytes))
	}
	if c := s.Conflicts; c != nil {
		add("", "stream %s: %s found that the id which the client gave was there already, the last one at %s (event %s, id %s in %s): an event that was sent twice, or two events with one id, of which the second is not stored",
			s.Name, counted(int(c.Count), "document", "documents"), c.At.Format(time.RFC3339), c.Key, c.ID, c.Index)
	}
}

// stateText says in a few words how a stream's delivery is.
func stateText(s *flush.StreamStatus) string {
	if s == nil {
		return "-"
	}
	words := []string{string(s.State)}
	if s.Alone {
		words = append(words, "reads alone")
	}
	if s.HoldsLog {
		words = append(words, "holds the log")
	}
	return strings.Join(words, ", ")
}

// destinationState says in one line how a destination is.
func destinationState(d *flush.DestinationStatus, now time.Time) string {
	text := fmt.Sprintf("%s is %s", d.Name, d.State)
	if d.State == flush.StateOK {
		return fmt.Sprintf("%s, %d of at most %s under way", text, d.InFlight, counted(d.Limit, "request", "requests"))
	}
	return fmt.Sprintf("%s for %s (since %s): %s", text, humanDuration(max(0, now.Sub(d.Since)).Truncate(time.Second)), d.Since.Format(time.RFC3339), d.Why)
}
