//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirlog/weir/wal/waltest/cutfs"
)

// operation is one operation of a run: the n-th of its kind.
type operation struct {
	kind cutfs.Kind
	n    int
}

// tortureFault lets each operation of a short life fail in each way, one at a time, and then two at a time. weir has to go on
// by itself, or to end with an error and start again; in the end nothing is lost, also when the power is cut.
func tortureFault(tt *torture) {
	judges := newCutJudges(tt)
	var ops []operation
	ok := tt.Run("without faults", func(t *testing.T) { ops = newFaultRun(tt, t, judges, tt.seed).operations() })
	if !ok || tt.skipped > 0 {
		return
	}
	var single [][]cutfs.Fault
	for _, o := range ops {
		for _, f := range cutfs.Failures(o.kind) {
			f.Kind, f.Skip = o.kind, o.n
			single = append(single, []cutfs.Fault{f})
		}
	}
	rng := rand.New(rand.NewPCG(tt.seed, 7))
	rng.Shuffle(len(single), func(i, j int) { single[i], single[j] = single[j], single[i] }) // so that a part of them is of every kind
	all := len(single)
	if tt.quick() {
		single = single[:10]
	}
	done := faultRuns(tt, judges, single)
	tt.note("%d of %d faults of one operation, and pairs of them", done, all)
	for range tt.rounds(2) {
		pairs := make([][]cutfs.Fault, 2)
		for i := range pairs {
			a, b := single[rng.IntN(len(single))][0], single[rng.IntN(len(single))][0]
			pairs[i] = []cutfs.Fault{a, b}
		}
		faultRuns(tt, judges, pairs)
	}
}

// operations lists what may fail in a fault run, each kind counted by itself.
func (w *world) operations() []operation {
	counts := map[cutfs.Kind]int{}
	var all []operation
	for _, op := range w.fs.Ops()[:w.faultless] {
		all = append(all, operation{op.Kind, counts[op.Kind]})
		counts[op.Kind]++
	}
	return all
}

// faultRuns runs one life for each set of faults, several at a time, and returns how many there was time for.
func faultRuns(tt *torture, judges *cutJudges, runs [][]cutfs.Fault) (done int) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range next {
				tt.Run(fmt.Sprint(runs[i]), func(t *testing.T) {
					if w := newFaultRun(tt, t, judges, tt.seed, runs[i]...); len(w.fs.Injected()) > 0 {
						tt.try(1) // no two runs have quite the same operations: a fault may find none
					}
				})
			}
		})
	}
	for i := range runs {
		if !tt.timeLeft() {
			break
		}
		next <- i
		done++
	}
	close(next)
	wg.Wait()
	return done
}

// newFaultRun lives a short life while operations fail, and another one without faults, and judges both.
func newFaultRun(tt *torture, t *testing.T, judges *cutJudges, seed uint64, faults ...cutfs.Fault) *world {
	w := newWorld(tt, t, rand.New(rand.NewPCG(seed, 3)), cutfs.Options{})
	w.fs.SetFaults(faults...)
	for _, f := range faults {
		w.ledger.damaged = w.ledger.damaged || f.Kind == cutfs.Read // a sector that cannot be read is damage
		w.ledger.alarms = w.ledger.alarms || f.Kind == cutfs.SyncFile
	}
	v := verdict{}
	if err := w.shortLife(); err != nil {
		v.byHand = append(v.byHand, err.Error())
	}
	w.fs.SetFaults()
	w.faultless = w.fs.Len()
	if err := w.lastLife(); err != nil {
		v.byHand = append(v.byHand, err.Error())
	}
	if v.ok() {
		v = w.judgeAll()
	}
	tt.judge(v, nil, "faults %+v, hit %+v; it said:\n%s", faults, w.fs.Injected(), w.said)
	if v.ok() {
		judges.some(w, seed, fmt.Sprintf("faults %+v", faults))
	}
	return w
}

// shortLife is a life that may be struck by faults. Only a weir that hangs is an error: it may end, and is started again.
func (w *world) shortLife() error {
	for try := 0; ; try++ {
		if err := w.start(); err == nil {
			break
		} else if w.keepSaid(); try == 3 {
			return fmt.Errorf("it does not start any more: %w", err)
		}
	}
	w.postAll(6, 2, 2000)
	w.away(true)
	w.postAll(4, 2, 6000)
	w.away(false)
	if err := w.drained(); err != nil {
		return err
	}
	w.postAll(2, 1, 300)
	return w.terminate()
}

// lastLife has no faults: it has to start, to take an event, to deliver everything, and to stop in order.
func (w *world) lastLife() error {
	if err := w.start(); err != nil {
		return fmt.Errorf("it does not start after the faults: %w", err)
	}
	if !w.post(w.rng, 3, 100) {
		return errors.New("it takes no events after the faults")
	}
	if err := w.drained(); err != nil {
		return err
	}
	if err := w.terminate(); err != nil {
		return err
	}
	if w.proc.err != nil {
		return fmt.Errorf("exit: %w", w.proc.err)
	}
	return nil
}

// keepSaid keeps the log of a process that is about to be replaced.
func (w *world) keepSaid() {
	if w.proc != nil {
		w.said += w.proc.logged()
	}
}

// drained waits until nothing is unsettled and an event is taken again. A process that ended is started again.
func (w *world) drained() error {
	deadline := time.NewTimer(w.patience)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-w.proc.exited:
			w.keepSaid()
			if err := w.start(); err != nil {
				return fmt.Errorf("it ended by itself and does not start again: %w", err)
			}
		case <-deadline.C:
			return errors.New("it neither settles nor takes events by itself")
		case <-poll.C:
		}
		if lag, err := w.proc.lag(); err == nil && lag == 0 && w.ready() {
			return nil
		}
	}
}

func (w *world) ready() bool {
	res, err := w.client.Get(w.proc.admin + "/readyz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// terminate ends the process in order and waits for it. How it ends is in proc.err.
func (w *world) terminate() error {
	if err := w.proc.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	select {
	case <-w.proc.exited:
		w.keepSaid()
		return nil
	case <-patience.C:
		w.keepSaid()
		return errors.New("it does not end when it is told to")
	}
}

// letters reads the letters once the process has ended. It goes below the mount, which this process serves itself.
func (w *world) letters() ([]tortureLetter, error) {
	cfg, err := LoadConfig(configSources{Environ: serviceEnviron(filepath.Join(w.backing, "data"), w.environ...)})
	if err != nil {
		return nil, err
	}
	return readLetters(cfg)
}
