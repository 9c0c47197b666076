package main

import (
	"context"
	"fmt"
	"time"

	"github.com/weirlog/weir/bench/report"
)

// sampleEvery is how often a backlog is looked at. Asking costs weir and the sink a millisecond.
const sampleEvery = 100 * time.Millisecond

// reading is what had been acknowledged and delivered at a moment.
type reading struct {
	at             time.Time
	acked, arrived int64 // events so far
}

// samples are the readings of a round, for its chart. One goroutine uses them.
type samples struct {
	read   func(ctx context.Context) (reading, error)
	begun  time.Time
	last   reading
	series []report.Sample
}

func newSamples(read func(ctx context.Context) (reading, error)) *samples {
	now := time.Now()
	return &samples{read: read, begun: now, last: reading{at: now}}
}

// add keeps a reading.
func (s *samples) add(r reading) {
	length := r.at.Sub(s.last.at).Seconds()
	if length <= 0 {
		return
	}
	s.series = append(s.series, report.Sample{
		Seconds: r.at.Sub(s.begun).Seconds(), BacklogEvents: float64(r.acked - r.arrived),
		Acked: float64(r.acked-s.last.acked) / length, Delivered: float64(r.arrived-s.last.arrived) / length,
	})
	s.last = r
}

// follow adds readings until done says so of the last one and the one before it.
func (s *samples) follow(ctx context.Context, done func(before, now reading) (bool, error)) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		before := s.last
		now, err := s.read(ctx)
		if err != nil {
			return err
		}
		s.add(now)
		if ok, err := done(before, now); ok || err != nil {
			return err
		}
	}
}

// caughtUp reports when what is acknowledged arrives before the next look at it. It fails when the backlog does not shrink.
func caughtUp() func(before, now reading) (bool, error) {
	least, shrank := int64(-1), time.Time{}
	return func(before, now reading) (bool, error) {
		backlog := now.acked - now.arrived
		if least < 0 || backlog < least {
			least, shrank = backlog, now.at
		}
		if now.at.Sub(shrank) > catchUpPatience {
			return false, fmt.Errorf("the backlog has not been below %d events for %s: more arrives than is delivered, or delivery has stopped", least, catchUpPatience)
		}
		return now.arrived >= before.acked, nil
	}
}

// catchUpPatience has room for the longest pause of weir between two tries, which is 30 s.
const catchUpPatience = time.Minute
