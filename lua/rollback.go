package lua

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weirlog/weir/flush"
)

// trial is what a version that took over is judged by. It never changes.
type trial struct {
	before *pool     // what comes back
	share  float64   // of the events that failed under it
	events float64   // that the share is of
	from   uint64    // events of the new version's tally when it took over
	until  time.Time // when it has stood the trial
}

// Rollback says that a version went out of force by itself, because more events failed than under the one before. It is
// also the error with which that version is refused from then on.
type Rollback struct {
	Version  string    `json:"version"` // that was rolled back
	To       string    `json:"to"`      // that is in force again
	LoadedAt time.Time `json:"loaded_at"`
	At       time.Time `json:"at"`
	Events   uint64    `json:"events"`         // that the version was given
	Failed   uint64    `json:"failed"`         // of them; they are dead letters
	Share    float64   `json:"share"`          // of its last events that failed, from 0 to 1
	Before   float64   `json:"share_before"`   // the same of the version before
	Last     string    `json:"last_error"`     // what the last of them failed with
	Replay   string    `json:"replay_letters"` // the command that sends its letters again
}

// Error says why the version is refused and what can be done.
func (r *Rollback) Error() string {
	return fmt.Sprintf("version %s was rolled back at %s: %s; mend the file, or POST /api/v1/reload?force=true takes it all the same",
		r.Version, r.At.Format(time.RFC3339), r.Why())
}

// Why says what the version was rolled back for.
func (r *Rollback) Why() string {
	return fmt.Sprintf("%s of its events failed, %s of those of version %s before; the last one with: %s", percent(r.Share), percent(r.Before), r.To, r.Last)
}

// percent writes a share, as exactly as people want to know it.
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1000)/10, 'f', -1, 64) + " %"
}

// judgement is that a pool's version must go.
type judgement struct {
	trial  *trial
	events uint64 // since the version took over
	failed uint64
	share  float64
	last   string
}

// fail counts an event that failed, and judges the version when it is on trial. Events that succeed are not looked at:
// only a failed one can raise the share.
func (p *pool) fail(err *flush.TransformError, opts *Options) *judgement {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := p.tally.events.Load()
	p.tally.failed.Add(1)
	p.failed++
	p.lately.advance(total)
	p.lately.failed++
	t := p.trial
	if t == nil {
		return nil
	}
	if opts.clock().After(t.until) {
		p.trial = nil // it has stood; what would have come back is let go
		return nil
	}
	events := total - t.from
	if events < uint64(opts.RollbackMinEvents) || !t.exceeded(&p.lately, opts.RollbackErrorRate) {
		return nil
	}
	p.trial = nil
	return &judgement{trial: t, events: events, failed: p.failed, share: p.lately.share(), last: err.Type + ": " + err.Message}
}

// exceeded reports whether the share of failed events is higher than before by more than rate, and by more than chance
// explains: where six of ten events have always failed, a few hundred are easily some percent off.
func (t *trial) exceeded(now *lately, rate float64) bool {
	more := now.share() - t.share
	if more <= rate {
		return false
	}
	pooled := share(now.failed+t.share*t.events, now.events+t.events)
	spread := pooled * (1 - pooled) / now.events
	if t.events > 0 {
		spread += pooled * (1 - pooled) / t.events
	}
	return more > chance*math.Sqrt(spread)
}

// chance is how many standard deviations are no accident. It is much, because the share is looked at again and again.
const chance = 4

// stay ends the trial of a version: it cannot be rolled back any more.
func (p *pool) stay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trial = nil
}

// trialAgainst is what a version that takes over from p is judged by. Where p is on trial itself and has not been given enough
// events to be judged, it is no measure: what would come back in its place does for the next one too. shadow says
// how p's version did there, for one that has seen too little.
func (p *pool) trialAgainst(shadow *Shadow, opts *Options) *trial {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := opts.clock()
	next := &trial{before: p, until: now.Add(opts.RollbackWindow)}
	total := p.tally.events.Load()
	p.lately.advance(total)
	if t := p.trial; t != nil && now.Before(t.until) && total-t.from < uint64(opts.RollbackMinEvents) {
		next.before, next.share, next.events = t.before, t.share, t.events
	} else {
		next.measureLocked(p, shadow, opts)
	}
	p.trial = nil // no chain: only one version can come back
	return next
}

// measureLocked takes the share of failed events of a version that gives way.
func (t *trial) measureLocked(p *pool, shadow *Shadow, opts *Options) {
	failed, events := p.lately.failed, p.lately.events
	if events < float64(opts.RollbackMinEvents) {
		failed += float64(shadow.failedBefore)
		events += float64(shadow.Events)
	}
	t.share, t.events = share(failed, events), events
}

// rollBack brings back the version before p's, unless p has gone out of force meanwhile.
func (t *Transformer) rollBack(p *pool, v *judgement) {
	r := t.bringBack(p, v)
	if r == nil {
		return
	}
	t.metrics.reloaded(resultRolledBack)
	t.opts.Logger.Error("script rolled back, the version before is in force again", "component", "lua", "script", t.opts.Script,
		"rolled_back", r.Version, "version", r.To, "reason", r.Why(), "events", r.Events, "failed", r.Failed,
		"loaded_at", r.LoadedAt, "replay", r.Replay)
}

// bringBack exchanges the pools between two events: those that p has begun are finished by its version.
func (t *Transformer) bringBack(p *pool, v *judgement) *Rollback {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Load() != p {
		return nil
	}
	now, back := t.opts.clock().UTC(), v.trial.before
	r := &Rollback{
		Version: p.prog.version, To: back.prog.version, LoadedAt: t.since, At: now, Events: v.events, Failed: v.failed,
		Share: v.share, Before: v.trial.share, Last: v.last,
		Replay: "weir dlq replay --stage transform --since " + t.since.Format(time.RFC3339),
	}
	back.retire(false)
	t.current.Store(back)
	p.retire(true)
	t.since = now
	t.inForceLocked(back.tally)
	t.rolled = r
	t.refusedLocked(r)
	if t.report != nil && t.report.Version == r.Version {
		report := *t.report // whoever has the old one may be reading it
		report.Result, report.Why = resultRolledBack, r.Why()
		t.report = &report
	}
	return r
}
