//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// syncCase is one way in which fsync really fails.
type syncCase struct {
	name string
	pad  int // bounds the filling of an event
	// away keeps the destination away meanwhile: everything comes from the disk. Otherwise checkpoints and letters meet the
	// failure, too.
	away bool
	// journal is whether the file system's journal has its place. Without one the file system fails, and not only the file.
	journal bool
}

var syncCases = []syncCase{
	{"large events", 80_000, true, true},
	{"small events", 400, true, true},
	{"large events are delivered", 80_000, false, true},
	{"small events are delivered", 400, false, true},
	{"the file system fails", 6_000, true, false},
	{"the file system fails while events are delivered", 6_000, false, false},
}

// syncTally is what came of the runs on one file system.
type syncTally struct {
	runs   int
	calm   int // runs in which nothing failed, which say nothing
	broken int // runs in which the file system failed
	syncFailures
}

func (a *syncTally) note(tt *torture, name string) {
	if a.runs > 0 {
		tt.note("%s: in %d runs %d commits of the log, %d of dead letters and %d of weir.db really failed, and the file system in %d runs; in %d more nothing failed",
			name, a.runs, a.log, a.letters, a.database, a.broken, a.calm)
	}
}

// failSyncs lets fsync fail under load until it has, and judges what weir made of it.
func (a *syncTally) failSyncs(tt *torture, t *testing.T, fs *fileSystem, c *syncCase, round uint64) {
	for attempt := range uint64(5) {
		d, err := newThinDisk(t, fs, c.journal)
		if err != nil {
			tt.skip(1, "failing fsync on %s: %v", fs.name, err)
			return
		}
		rng := rand.New(rand.NewPCG(tt.seed+round, attempt))
		w := newLoadedWorld(t, rng, filepath.Join(d.dir, "data"), "WEIR_WAL_MAX_BYTES=24MiB", "WEIR_SHUTDOWN_TIMEOUT=300ms")
		w.ledger.alarms = true // bytes of which the disk said that it does not have them may be missed
		err = w.failingLife(d, c, a)
		n := failuresIn(w.said)
		if err == nil && n.log == 0 {
			a.calm++
			continue
		}
		v := verdict{}
		if err != nil {
			w.keepSaid()
			v.byHand = append(v.byHand, err.Error())
		} else {
			v = w.settle()
		}
		tt.try(1)
		a.runs++
		a.log, a.letters, a.database = a.log+n.log, a.letters+n.letters, a.database+n.database
		tt.judge(v, w.keep, "round %d, fsync fails on %s, %s: %+v; it said:\n%s", round, fs.name, c.name, n, w.tail())
		return
	}
	tt.Logf("round %d, %s, %s: nothing failed", round, fs.name, c.name)
}

// failingLife is a life on a disk that has no room for a while, and the end of it, after which the file system is mounted
// again: a start alone would read what the page cache has.
func (w *world) failingLife(d *thinDisk, c *syncCase, a *syncTally) error {
	if err := w.start(); err != nil {
		return err
	}
	w.postAll(8, 4, 300) // there are a checkpoint and letters
	if err := w.drained(); err != nil {
		return err
	}
	w.away(c.away)
	l := w.load(clients{connections: 4, from: 1, to: 8, pad: c.pad})
	err := w.runDry(d, c)
	if err == nil && !d.healthy() {
		a.broken++
		err = w.refuses()
	} else if err == nil {
		err = w.recovers()
	}
	err = errors.Join(err, w.endAnyhow(d, l))
	return errors.Join(err, d.remount())
}

// runDry lets the disk be without room until weir has noticed, and a while longer.
func (w *world) runDry(d *thinDisk, c *syncCase) error {
	time.Sleep(time.Duration(20+w.rng.IntN(150)) * time.Millisecond) // the moment of the failure
	if err := d.exhaust(w.rng.IntN(64)); err != nil {
		return err
	}
	for range 200 {
		if failuresIn(w.proc.logged()).log > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
	for n := 0; !c.journal && n < 1000 && d.healthy(); n++ { // each look is written to the journal
	}
	return d.refill()
}

// recovers waits until weir takes events again by itself, and lets it take some.
func (w *world) recovers() error {
	goesOn := func() bool { return w.ready() || w.send(w.rng, 0, 10).code == "log_full" }
	if err := await(goesOn, "it takes no events by itself after the disk has room again"); err != nil {
		return err
	}
	return w.until(time.Duration(w.rng.IntN(200)) * time.Millisecond)
}

// refuses looks at how weir refuses on a file system that has failed, for which only a new mount helps.
func (w *world) refuses() error {
	for range 20 {
		r := w.send(w.rng, 2, 300)
		if r.err != nil {
			return fmt.Errorf("no answer on a failed file system: %w", r.err)
		}
		if r.status != http.StatusServiceUnavailable || r.retryAfter == "" || r.code != "commit_failed" && r.code != "log_failed" && r.code != "log_full" {
			return fmt.Errorf("a failed file system answers %+v", r)
		}
	}
	if w.ready() {
		return errors.New("it says that it is ready on a failed file system")
	}
	return nil
}

// endAnyhow ends the life in one of the ways in which lives end: in order, killed, killed and started once more on the same
// mount, or without power.
func (w *world) endAnyhow(d *thinDisk, l *load) (err error) {
	switch w.rng.IntN(4) {
	case 0:
		err = w.terminate()
		l.stop(time.Now())
		return err
	case 1:
		w.cutting.Store(true)                    // from here on nothing counts, see cut
		if err = shutDown(d.dir); !d.healthy() { // it may have done so by itself
			err = nil
		}
	}
	w.proc.kill()
	w.keepSaid()
	l.stop(time.Now())
	w.cutting.Store(false)
	if err != nil || w.rng.IntN(2) == 0 || !d.healthy() {
		return err
	}
	if err := w.start(); err != nil {
		return fmt.Errorf("it does not start on the same mount: %w", err)
	}
	w.postAll(8, 2, 3000)
	w.proc.kill()
	w.keepSaid()
	return nil
}
