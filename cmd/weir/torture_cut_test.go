//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal/waltest/cutfs"
)

// tortureCut records a few seconds of weir's life, makes the states that a power cut may leave at each moment of it, and
// starts weir on each.
func tortureCut(tt *torture) {
	judges := newCutJudges(tt)
	for round := range tt.rounds(1) {
		seed := tt.seed + uint64(round)
		var w *world
		ok := tt.Run(fmt.Sprintf("record %d", round), func(t *testing.T) {
			// A slow fsync gives an answer that does not wait for it the time to arrive first.
			w = newWorld(tt, t, rand.New(rand.NewPCG(seed, 1)), cutfs.Options{SyncDelay: 2 * time.Millisecond})
			w.live()
		})
		if !ok || w == nil || tt.skipped > 0 {
			return
		}
		states := 25 // at each position, besides the systematic ones
		if tt.quick() {
			states = 0
		}
		judges.recording(w, seed, states)
	}
}

// live is what weir does while it is recorded: two lives with everything that changes files in them.
func (w *world) live() {
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatalf("%v\n%s", err, w.proc.logged())
		}
	}
	must(w.start())
	w.postAll(12, 3, 300)
	w.proc.drain()
	w.away(true)
	w.postAll(8, 2, 3000)
	w.post(w.rng, 2, 30_000)
	w.away(false)
	w.proc.drain() // several segments are reclaimed
	must(w.replay())
	w.postAll(6, 2, 300)
	w.proc.drain() // what is to be a letter is one
	must(w.drop())
	w.proc.kill()
	must(w.start())
	w.postAll(8, 2, 2000)
	w.proc.drain()
	w.proc.stop()
}

// cutState is a state, and what the world knew when it came to be.
type cutState struct {
	*cutfs.State
	w      *world
	stored []elastictest.Doc
}

// cutJudges starts weir on states, on all processors.
type cutJudges struct {
	tt   *torture
	free chan *recoverer

	mu   sync.Mutex
	seen map[uint64]bool
}

func newCutJudges(tt *torture) *cutJudges {
	n := 12 * runtime.NumCPU() // a start and a stop wait more than they work: the kernel takes 30 ms to take a file watch back
	j := &cutJudges{tt: tt, free: make(chan *recoverer, n), seen: map[uint64]bool{}}
	for range n {
		j.free <- newRecoverer(tt.T)
	}
	return j
}

// quickCutStates is how many states of a recording the small share starts.
const quickCutStates = 200

// recording judges a recording: the systematic states of every position, and some by chance.
func (j *cutJudges) recording(w *world, seed uint64, random int) {
	states := make(chan cutState)
	var wg sync.WaitGroup
	for range cap(j.free) {
		wg.Go(func() {
			for s := range states {
				j.tt.try(1)
				j.judge(s, "")
			}
		})
	}
	ops := w.fs.Ops()
	// The small share goes through the whole recording, and takes a part of its states.
	rng, share := rand.New(rand.NewPCG(seed, 2)), 1.0
	if j.tt.quick() {
		share = float64(quickCutStates) / float64(10*len(ops))
	}
	c := cutfs.NewCursor(w.fs.Base(), ops)
	for c.Next() && j.tt.timeLeft() {
		stored := w.storedBefore(c.Position())
		give := func(s *cutfs.State) {
			if j.isNew(s, ops) {
				states <- cutState{s, w, stored}
			}
		}
		for _, m := range cutfs.Models() {
			for s := range c.Systematic(m, seed) {
				if share == 1 || rng.Float64() < share {
					give(s)
				}
			}
			for i := range random {
				give(c.Random(m, seed+uint64(i)))
			}
		}
	}
	close(states)
	wg.Wait()
	j.tt.Logf("seed %d: %d operations, %d different states so far", seed, len(ops), len(j.seen))
}

// some judges a few states of a recording, chosen by chance. why says how the recording came to be.
func (j *cutJudges) some(w *world, seed uint64, why string) {
	ops := w.fs.Ops()
	rng := rand.New(rand.NewPCG(seed, uint64(len(ops))))
	c := cutfs.NewCursor(w.fs.Base(), ops)
	for c.Next() {
		if rng.IntN(len(ops)) > 12 {
			continue
		}
		for _, m := range cutfs.Models() {
			if s := c.Random(m, rng.Uint64()); j.isNew(s, ops) {
				j.judge(cutState{s, w, w.storedBefore(c.Position())}, why)
			}
		}
	}
}

// isNew reports whether the state was not judged yet. The same files after one more answer are another state.
func (j *cutJudges) isNew(s *cutfs.State, ops []cutfs.Op) bool {
	mark := s.At
	for mark > 0 && ops[mark-1].Kind != cutfs.Mark {
		mark--
	}
	key := s.Hash() ^ uint64(mark)*0x9e3779b97f4a7c15
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen[key] {
		return false
	}
	j.seen[key] = true
	return true
}

// judge starts weir on one state.
func (j *cutJudges) judge(s cutState, why string) {
	r := <-j.free
	defer func() { j.free <- r }()
	v := verdict{}
	if err := errors.Join(r.clear(), s.WriteTo(r.dir)); err != nil {
		j.tt.Error(err)
		return
	}
	rec, err := r.recover(s.stored)
	if err != nil {
		v.byHand = append(v.byHand, err.Error())
	} else {
		v = s.w.ledger.judge(s.At, rec.aftermath)
		if l := s.w.ledger; !l.damaged && !l.alarms && strings.Contains(rec.log, "lost its end") {
			v.invented = append(v.invented, "a log is said to have lost its end, and none did")
		}
	}
	j.tt.judge(v, func(to string) error {
		return errors.Join(s.WriteTo(filepath.Join(to, "state")), exec.Command("cp", "-a", r.dir, filepath.Join(to, "after")).Run())
	}, "%s%s; it said:\n%s", why, s, rec.log)
}
