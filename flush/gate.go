package flush

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// gate holds senders back while what they send to takes nothing. It is shut by a failure, lets one of
// them through to ask again after a pause that grows, and is opened by a success.
type gate struct {
	mu      sync.Mutex
	shut    bool
	probing bool      // one is through and has not come back
	opens   time.Time // when the next one may ask
	pauses  *backoff.ExponentialBackOff
	changed chan struct{} // closed at every change; nil until somebody waits
}

// pass waits until the gate is open, or until the caller is the one who may ask; its error is ctx's, which is not looked at
// while the gate is open. A probe has to call close, open or giveUp afterwards.
func (g *gate) pass(ctx context.Context) (probe bool, err error) {
	for {
		changed, pause, probe := g.look(time.Now())
		if changed == nil {
			return probe, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		}
		timer.Stop()
	}
}

// look reports whether the caller may go on (changed is nil), or how to wait.
func (g *gate) look(now time.Time) (changed chan struct{}, pause time.Duration, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		return nil, 0, false
	}
	if !g.probing && !now.Before(g.opens) {
		g.probing = true
		return nil, 0, true
	}
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	pause = g.opens.Sub(now)
	if g.probing {
		pause = time.Hour // its end is a change
	}
	return g.changed, pause, false
}

// close shuts the gate for the next of the pauses, or for as long as the destination asked for. Failures of
// requests that were under way when it was shut do not make the pause longer.
func (g *gate) close(pauses func() *backoff.ExponentialBackOff, probe bool, atLeast time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case !g.shut:
		g.shut, g.pauses = true, pauses()
		g.opens = now.Add(max(g.pauses.NextBackOff(), atLeast))
	case probe:
		g.probing = false
		g.opens = now.Add(max(g.pauses.NextBackOff(), atLeast))
	case atLeast > 0 && now.Add(atLeast).After(g.opens):
		g.opens = now.Add(atLeast)
	}
	g.changeLocked()
}

// giveUp says that a probe ended without knowing.
func (g *gate) giveUp(probe bool) {
	if !probe {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	g.changeLocked()
}

// open lets everybody through after a success, and reports whether the gate is open now. Where it is shut only the one who
// asked opens it: what was under way when it was shut says nothing new, and must not cut a Retry-After short.
func (g *gate) open(probe bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		return true
	}
	if !probe {
		return false
	}
	g.shut, g.probing = false, false
	g.changeLocked()
	return true
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func (g *gate) changeLocked() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}
