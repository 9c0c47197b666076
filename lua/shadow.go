package lua

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

const (
	// shadowTime is the processor time that a run in the shadow may take, and shadowPatience how long it may last.
	// Then it reports on what it has.
	shadowTime     = 10 * time.Second
	shadowPatience = 30 * time.Second
)

var errShadowTime = errors.New("the scripts took too long")

// shadowRun runs events through two versions of a script. It has a state of its own for each, so that no event of the
// service waits for it or meets what it leaves behind.
type shadowRun struct {
	before, after *Script
	opts          *Options
	began         time.Duration
	found         *Shadow
}

// runShadow tries a version on the newest events, beside the one in force. The only error is ctx's: a version that cannot
// be tried is taken all the same, and the report says so.
func (t *Transformer) runShadow(ctx context.Context, before, after *program) (Shadow, error) {
	found := Shadow{Wanted: max(0, t.opts.ShadowEvents), Examples: []Example{}}
	if t.opts.Recent == nil || t.opts.ShadowEvents <= 0 {
		found.Note = "no events were run: transform.shadow_events is 0"
		return found, nil
	}
	opts := t.opts.quiet()
	s := &shadowRun{opts: &opts, found: &found}
	var err error
	if s.before, err = shadowScript(before, &opts); err == nil {
		s.after, err = shadowScript(after, &opts)
	}
	if err != nil {
		found.Note = "no events were run: " + err.Error()
		return found, nil
	}
	begin := time.Now()
	err = s.run(ctx, t.opts.Recent)
	found.Seconds = time.Since(begin).Seconds()
	switch {
	case ctx.Err() != nil:
		return found, fmt.Errorf("try the script in the shadow: %w", ctx.Err())
	case errors.Is(err, errShadowTime) || errors.Is(err, context.DeadlineExceeded):
		found.Note = fmt.Sprintf("the run ended before all events were through: %s of processor time, or %s, were over", shadowTime, shadowPatience)
	case err != nil:
		found.Note = "not all events could be read from the log: " + err.Error()
	case found.Events == 0:
		found.Note = "the log holds no events of the script's streams"
	case found.Events < found.Wanted:
		found.Note = fmt.Sprintf("fewer events than the %d that are wanted: what is settled does not stay in the log for long, and large events are not all read", found.Wanted)
	}
	return found, nil
}

// shadowScript makes a script with a state of its own.
func shadowScript(prog *program, opts *Options) (*Script, error) {
	w, err := newWorker(prog, opts)
	return &Script{prog: prog, opts: *opts, w: w}, err
}

// run visits the events. Its thread is kept, since the time that is bounded is that of the thread.
func (s *shadowRun) run(ctx context.Context, recent func(context.Context, int, func(*wal.Record) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, shadowPatience)
	defer cancel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.began = s.opts.now()
	return recent(ctx, s.found.Wanted, func(rec *wal.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.opts.now()-s.began > shadowTime {
			return errShadowTime
		}
		s.visit(rec)
		return nil
	})
}

// visit runs one event through both versions and compares.
func (s *shadowRun) visit(rec *wal.Record) {
	before, after := s.try(s.before, rec), s.try(s.after, rec)
	class := classOf(&before, &after)
	s.found.Events++
	*s.found.count(class)++
	if before.err != nil {
		s.found.failedBefore++
	}
	if s.found.wants(class) {
		s.found.Examples = append(s.found.Examples, Example{class, rec.Offset, rec.Stream, before.side(), after.side()})
	}
}

// attempt is what a version made of an event. Its documents are valid until the version runs again.
type attempt struct {
	docs []flush.Document
	err  error
}

func (s *shadowRun) try(script *Script, rec *wal.Record) attempt {
	// The same dice for both versions: a script that throws them is not changed by that.
	script.w.random = rand.New(rand.NewPCG(uint64(rec.Epoch), uint64(rec.Offset)))
	script.w.randomBytes = dice{script.w.random}
	docs, _, err := script.Transform(rec)
	if err == nil && s.opts.Prepare != nil {
		err = s.opts.Prepare(rec, docs)
	}
	if err != nil {
		docs = nil
	}
	return attempt{docs, err}
}

// dice are random bytes that can be thrown a second time.
type dice struct{ *rand.Rand }

// Read implements io.Reader.
func (d dice) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return len(b), nil
}

func classOf(before, after *attempt) Class {
	switch {
	case before.err != nil && after.err != nil:
		return ClassSame
	case after.err != nil:
		return ClassFailed
	case before.err != nil:
		return ClassMended
	case len(before.docs) > 0 && len(after.docs) == 0:
		return ClassDropped
	case len(before.docs) == 0 && len(after.docs) > 0:
		return ClassRestored
	case sameDocuments(before.docs, after.docs):
		return ClassSame
	}
	return ClassChanged
}

func sameDocuments(a, b []flush.Document) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := &a[i], &b[i]
		if x.Index != y.Index || x.ID != y.ID || x.Pipeline != y.Pipeline || x.Routing != y.Routing || !bytes.Equal(x.Source, y.Source) {
			return false
		}
	}
	return true
}
