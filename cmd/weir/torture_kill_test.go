//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var tortureKills = flag.Int("torture.kills", 0, "so many kills of the service instead of as many as there is time for")

// killsOfOne is how many lives a data directory has before it is judged.
const killsOfOne = 40

// killRate is what the kill kind says about the load that it made.
type killRate struct {
	kills, early, events, replays atomic.Int64
	loaded                        atomic.Int64 // nanoseconds
}

// tortureKill ends the whole service in the middle of its work: with SIGKILL while the destination fails in every way and
// replays run, with SIGTERM, with a second signal, and by the kernel when memory runs out.
func tortureKill(tt *torture) {
	rate := &killRate{}
	defer rate.tell(tt)
	cycles, kills := 1, 3
	if !tt.quick() {
		cycles, kills = 5, killsOfOne
	}
	left := *tortureKills
	for round := range tt.rounds(1) {
		rng := func(way uint64) *rand.Rand { return rand.New(rand.NewPCG(tt.seed+uint64(round), way)) }
		run := func(name string, f func(*testing.T)) { tt.Run(fmt.Sprintf("%d %s", round, name), f) }
		run("SIGTERM", func(t *testing.T) { tt.stops(t, rng(1), round, cycles) })
		run("second signal", func(t *testing.T) { tt.secondSignal(t, rng(2), round) })
		run("out of memory", func(t *testing.T) { tt.outOfMemory(t, rng(3), round) })
		if *tortureKills > 0 {
			break
		}
		run("SIGKILL", func(t *testing.T) { tt.kills(t, rng(4), round, kills, rate) })
	}
	for round := 0; left > 0; round++ {
		n := min(left, killsOfOne)
		left -= n
		tt.Run(fmt.Sprintf("%d SIGKILL", round), func(t *testing.T) {
			tt.kills(t, rand.New(rand.NewPCG(tt.seed+uint64(round), 4)), round, n, rate)
		})
	}
}

func (r *killRate) tell(tt *torture) {
	if loaded := time.Duration(r.loaded.Load()); loaded > 0 {
		tt.note("SIGKILL: %d kills, %d of them in the first 60 ms of a life, without load; %d events acknowledged, %.0f a second; %d replays",
			r.kills.Load(), r.early.Load(), r.events.Load(), float64(r.events.Load())/loaded.Seconds(), r.replays.Load())
	}
}

// kills ends a service with SIGKILL again and again, now and then while it starts, and judges what is left at the end.
func (tt *torture) kills(t *testing.T, rng *rand.Rand, round, kills int, rate *killRate) {
	w := newLoadedWorld(t, rng, filepath.Join(t.TempDir(), "data"))
	v := verdict{}
	for i := range kills {
		w.fails()
		if err := w.killed(i%5 == 1, rate); err != nil {
			v.byHand = append(v.byHand, err.Error())
			break
		}
		tt.try(1)
	}
	if v.ok() {
		v = w.settle()
	}
	tt.judge(v, w.keep, "SIGKILL, round %d, %d kills; it said:\n%s", round, kills, w.tail())
}

// killed is one life that SIGKILL ends.
func (w *world) killed(early bool, rate *killRate) error {
	if err := w.launch(); err != nil {
		return err
	}
	rate.kills.Add(1)
	defer w.keepSaid()
	defer func() { w.proc.kill() }()
	if early {
		rate.early.Add(1)
		return w.until(time.Duration(w.rng.IntN(60)) * time.Millisecond)
	}
	if err := w.proc.awaitReady(); err != nil {
		return err
	}
	l := w.load(usualClients)
	l.replaying(&rate.replays)
	err := w.until(time.Duration(20+w.rng.IntN(500)) * time.Millisecond)
	ended := time.Now()
	w.proc.kill()
	rate.loaded.Add(int64(l.stop(ended)))
	rate.events.Add(l.acked.Load())
	return err
}

// until waits for the moment at which the process is to be ended. It must not end by itself before.
func (w *world) until(d time.Duration) error {
	moment := time.NewTimer(d)
	defer moment.Stop()
	select {
	case <-moment.C:
		return nil
	case <-w.proc.exited:
		return fmt.Errorf("weir ended by itself: %v", w.proc.err)
	}
}

// stops ends a service with SIGTERM under load, with a destination that answers: it exits with 0, and nothing is sent
// twice, neither then nor by the lives that follow.
func (tt *torture) stops(t *testing.T, rng *rand.Rand, round, cycles int) {
	w := newLoadedWorld(t, rng, filepath.Join(t.TempDir(), "data"), "WEIR_SHUTDOWN_TIMEOUT=1m")
	v := verdict{}
	for range cycles {
		if err := w.stoppedUnderLoad(); err != nil {
			v.byHand = append(v.byHand, err.Error())
			break
		}
		tt.try(1)
	}
	if n := w.resent.Load(); n > 0 {
		v.doubled = append(v.doubled, fmt.Sprintf("%d documents were sent again", n))
	}
	if v.ok() {
		v = w.settle()
	}
	tt.judge(v, w.keep, "SIGTERM under load, round %d, %d cycles; it said:\n%s", round, cycles, w.tail())
}

func (w *world) stoppedUnderLoad() error {
	if err := w.start(); err != nil {
		return err
	}
	l := w.load(usualClients)
	defer func() { l.stop(time.Now()) }()
	if err := w.until(time.Duration(50+w.rng.IntN(500)) * time.Millisecond); err != nil {
		return err
	}
	return w.stopped()
}

// secondSignal ends a service with two signals. After the first it waits for the destination, for an hour if need be, so
// that only the second can be what ends it.
func (tt *torture) secondSignal(t *testing.T, rng *rand.Rand, round int) {
	w := newLoadedWorld(t, rng, filepath.Join(t.TempDir(), "data"), "WEIR_SHUTDOWN_TIMEOUT=1h")
	v := verdict{}
	if err := w.signalledTwice(); err != nil {
		v.byHand = append(v.byHand, err.Error())
	} else {
		v = w.settle()
	}
	tt.try(1)
	tt.judge(v, w.keep, "second signal, round %d; it said:\n%s", round, w.tail())
}

func (w *world) signalledTwice() error {
	w.away(true)
	if err := w.start(); err != nil {
		return err
	}
	if !w.post(w.rng, 20, 100) { // so that there is something to wait for
		return errors.New("it takes no events")
	}
	l := w.load(usualClients)
	defer func() { l.stop(time.Now()) }()
	if err := w.until(time.Duration(20+w.rng.IntN(300)) * time.Millisecond); err != nil {
		return err
	}
	if err := w.proc.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	w.proc.awaitLog("stopping")
	if err := w.until(time.Duration(w.rng.IntN(100)) * time.Millisecond); err != nil {
		return err
	}
	if err := w.terminate(); err != nil {
		return err
	}
	if code := w.proc.cmd.ProcessState.ExitCode(); code != exitFailed {
		return fmt.Errorf("exit code %d after a second signal", code)
	}
	return nil
}

// tail is the end of what the processes said.
func (w *world) tail() string {
	const most = 4 << 10
	return w.said[max(0, len(w.said)-most):]
}

// outOfMemory has the kernel kill a service whose memory it no longer gets, and starts it again without a bound.
func (tt *torture) outOfMemory(t *testing.T, rng *rand.Rand, round int) {
	group, err := newMemoryGroup(t)
	if err != nil {
		tt.skip(1, "out of memory: %v", err)
		return
	}
	w := newLoadedWorld(t, rng, filepath.Join(t.TempDir(), "data"))
	v := verdict{}
	switch err := w.starved(group); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		tt.skip(1, "out of memory: %v", err)
		return
	case err != nil:
		v.byHand = append(v.byHand, err.Error())
	default:
		v = w.settle()
	}
	tt.try(1)
	tt.judge(v, w.keep, "out of memory, round %d; it said:\n%s", round, w.tail())
}

// starved is a life in a memory group whose limit is lowered until the kernel kills.
func (w *world) starved(group *memoryGroup) error {
	w.fails()
	if err := w.launch(); err != nil {
		return err
	}
	defer w.keepSaid()
	defer func() { w.proc.kill() }()
	if err := group.add(w.proc.cmd.Process.Pid); err != nil {
		return err
	}
	if err := w.proc.awaitReady(); err != nil {
		return err
	}
	l := w.load(clients{connections: 12, from: 100, to: 3000, pad: 400}) // large bodies take memory
	defer func() { w.proc.kill(); l.stop(time.Now()) }()
	if err := w.until(time.Duration(50+w.rng.IntN(200)) * time.Millisecond); err != nil {
		return err
	}
	if err := group.squeeze(w.proc.exited); err != nil {
		return err
	}
	if killed, err := group.kills(); err != nil || killed == 0 {
		return fmt.Errorf("it ended with %v, and the kernel killed %d (%v)", w.proc.err, killed, err)
	}
	if st, ok := w.proc.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGKILL {
		return fmt.Errorf("out of memory it ended with %v", w.proc.err)
	}
	return nil
}
