package main

import (
	"context"
	"sync"
	"time"

	"github.com/weirlog/weir/wal"
)

// rates are events and documents a second, over the last seconds and the last minutes.
type rates struct {
	Accepted     eventRate `json:"accepted"` // records that became durable
	Settled      eventRate `json:"settled"`
	Delivered    eventRate `json:"delivered"` // documents, those that were there already included
	DeadLettered eventRate `json:"dead_lettered"`
	History      []float64 `json:"-"` // accepted a second, oldest first, for the page's curve
	Drained      []float64 `json:"-"` // settled a second, likewise
}

// eventRate is how many a second.
type eventRate struct {
	TenSeconds  float64 `json:"per_second_10s"` // over the last ten seconds
	FiveMinutes float64 `json:"per_second_5m"`  // over the last five minutes, or since the start
}

const (
	sampleEvery = 2 * time.Second
	sampleCount = 151 // five minutes
	nowSamples  = 5   // ten seconds
)

// tally is what has happened up to a point in time.
type tally struct {
	at           time.Time
	durable      wal.Offset
	settled      uint64
	delivered    uint64
	deadLettered uint64
}

// rateSampler keeps the tallies of the last minutes.
type rateSampler struct {
	mu      sync.Mutex
	tallies []tally // oldest first, at most sampleCount; guarded by mu
}

func (s *rateSampler) add(t tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tallies) == sampleCount {
		copy(s.tallies, s.tallies[1:])
		s.tallies = s.tallies[:sampleCount-1]
	}
	s.tallies = append(s.tallies, t)
}

// rates returns nil until two samples are there.
func (s *rateSampler) rates() *rates {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.tallies)
	if n < 2 {
		return nil
	}
	last, first, recent := &s.tallies[n-1], &s.tallies[0], &s.tallies[max(0, n-1-nowSamples)]
	of := func(value func(*tally) uint64) eventRate {
		return eventRate{TenSeconds: perSecond(recent, last, value), FiveMinutes: perSecond(first, last, value)}
	}
	durable := func(t *tally) uint64 { return uint64(t.durable) }
	settled := func(t *tally) uint64 { return t.settled }
	r := &rates{
		Accepted: of(durable), Settled: of(settled),
		Delivered:    of(func(t *tally) uint64 { return t.delivered }),
		DeadLettered: of(func(t *tally) uint64 { return t.deadLettered }),
	}
	for i := 1; i < n; i++ {
		r.History = append(r.History, perSecond(&s.tallies[i-1], &s.tallies[i], durable))
		r.Drained = append(r.Drained, perSecond(&s.tallies[i-1], &s.tallies[i], settled))
	}
	return r
}

func perSecond(from, to *tally, value func(*tally) uint64) float64 {
	took := to.at.Sub(from.at).Seconds()
	if took <= 0 || value(to) < value(from) {
		return 0
	}
	return float64(value(to)-value(from)) / took
}

// sample takes tallies until ctx ends.
func (a *admin) sample(ctx context.Context) {
	if !a.online() {
		return
	}
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		st := a.flusher.Status()
		a.rates.add(tally{
			at: a.now(), durable: a.log.Status().DurableOffset, settled: st.SettledRecords,
			delivered: st.Delivered + st.Duplicates + st.FailureStore, deadLettered: st.DeadLettered,
		})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
