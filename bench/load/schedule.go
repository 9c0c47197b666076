package load

import "time"

// schedule says when the requests of one thread of an open loop are due: evenly, whatever the server does. Threads
// take turns, so that together they keep the rate.
type schedule struct {
	begun time.Time
	rate  float64 // of all threads, a second
	turn  int64   // of the next request, counted over all threads
	step  int64   // threads
}

func newSchedule(begun time.Time, rate float64, thread, threads int) *schedule {
	return &schedule{begun: begun, rate: rate, turn: int64(thread), step: int64(threads)}
}

// due returns when the next request is due.
func (s *schedule) due() time.Time {
	return s.begun.Add(time.Duration(float64(s.turn) / s.rate * float64(time.Second)))
}

// take moves on to the request after it.
func (s *schedule) take() { s.turn += s.step }
