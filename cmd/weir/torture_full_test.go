//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// fullCase is one way in which a disk runs full.
type fullCase struct {
	name string
	env  []string
	// disk mounts the file system of the data directory.
	disk func(t *testing.T, dir string) error
	// takes has another process take what is left below a directory; nil: weir uses it up itself.
	takes func(dir string) error
	// greedy has the other process take what weir frees, too, until it is gone.
	greedy bool
	// killed ends the process while the disk is full, and starts it on the full disk.
	killed bool
	// files is the limit of the size of files, 0 for none.
	files uint64
	// codes are those that a refusal may have; none: nothing has to be refused.
	codes []string
	// takenAgain says that the reserve finds room in the end.
	takenAgain bool
}

// Codes of a log that knows that it is full, and of one that met it.
var (
	knowsItIsFull = []string{"log_full"}
	metIt         = []string{"commit_failed", "log_failed"}
)

var fullDisks = []fullCase{
	{name: "weir fills it", disk: tmpfs("size=24m"), env: []string{"WEIR_WAL_MIN_FREE_BYTES=4MiB"}, codes: knowsItIsFull},
	{name: "the log reaches its limit", disk: tmpfs("size=64m"), env: []string{"WEIR_WAL_MAX_BYTES=1MiB"}, codes: knowsItIsFull},
	{name: "another process fills it", disk: tmpfs("size=96m"), takes: fill, codes: metIt, takenAgain: true},
	{name: "another process fills it below the free bytes that weir leaves", disk: tmpfs("size=24m"), takes: fill, env: []string{"WEIR_WAL_MIN_FREE_BYTES=1MiB"}, codes: append(knowsItIsFull, metIt...)},
	{name: "another process fills it, and weir is killed", disk: tmpfs("size=24m"), takes: fill, killed: true, codes: metIt},
	{name: "another process takes all that weir frees", disk: tmpfs("size=24m"), takes: fill, greedy: true, codes: metIt},
	{name: "another process fills ext4, and weir is killed", disk: ext4, takes: fill, killed: true, codes: metIt},
	{name: "inodes are used up", disk: tmpfs("size=256m,nr_inodes=40"), codes: metIt},
	{name: "another process takes the inodes, and weir is killed", disk: tmpfs("size=256m,nr_inodes=60"), takes: fillInodes, killed: true, codes: metIt},
	{name: "the quota is used up, and weir is killed", disk: quota, takes: fill, killed: true, codes: metIt},
	{name: "files may not grow", disk: tmpfs("size=64m"), files: 200 << 10, env: []string{"WEIR_WAL_SEGMENT_BYTES=1MiB"}},
}

// tortureFull lets the disk run full in each way, and drains it: weir refuses new events at once, and goes on by itself.
func tortureFull(tt *torture) {
	for round := range tt.rounds(1) {
		for i, c := range fullDisks {
			tt.Run(fmt.Sprintf("%d %s", round, c.name), func(t *testing.T) {
				dir := t.TempDir()
				if err := c.disk(t, dir); err != nil {
					tt.skip(1, "%s: %v", c.name, err)
					return
				}
				w := newWorldIn(t, filepath.Join(dir, "data"), rand.New(rand.NewPCG(tt.seed+uint64(round), uint64(i))))
				w.environ = append(w.environ, c.env...)
				tt.judgeFull(w, w.runFull(&c), "round %d, %s", round, c.name)
			})
		}
		tt.Run(fmt.Sprintf("%d descriptors are used up", round), func(t *testing.T) { tt.descriptors(t, round) })
	}
}

// judgeFull judges a life that has ended, with err if somebody would have to do something.
func (tt *torture) judgeFull(w *world, err error, unit string, args ...any) {
	v := verdict{}
	if err != nil {
		v.byHand = append(v.byHand, err.Error())
		w.keepSaid()
	} else {
		v = w.judgeAll()
	}
	tt.try(1)
	tt.judge(v, w.keep, "%s; it said:\n%s", fmt.Sprintf(unit, args...), w.tail())
}

// runFull is a life on a disk that runs full, and the end of it.
func (w *world) runFull(c *fullCase) error {
	if err := w.start(); err != nil {
		return err
	}
	w.postAll(8, 4, 300) // there are a checkpoint and letters
	if err := w.drained(); err != nil {
		return err
	}
	if c.killed {
		// A checkpoint that meets the disk while it is being filled gives the reserve up, and the other process takes that,
		// too: then nothing is left for the next start. Behind a stop there is nothing to store.
		if err := errors.Join(w.stopped(), w.start()); err != nil {
			return err
		}
	}
	if c.files > 0 {
		limit := unix.Rlimit{Cur: c.files, Max: c.files}
		if err := unix.Prlimit(w.proc.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			return err
		}
	}
	release := w.hold()
	defer release()
	w.postAll(20, 4, 3000)
	if c.takes != nil {
		if err := c.takes(w.backing); err != nil {
			return err
		}
	}
	if err := w.refused(c); err != nil {
		return err
	}
	if c.killed {
		w.proc.kill()
		w.keepSaid()
		if err := w.start(); err != nil {
			return fmt.Errorf("it does not start on a full disk: %w", err)
		}
		if _, err := os.Stat(filepath.Join(w.dataDir, "RESERVE")); err == nil && strings.Contains(w.proc.logged(), "the reserve was given up") {
			return errors.New("what was given up for the start was taken again before it was used")
		}
	}
	life := w.proc
	release()
	if err := w.emptied(c); err != nil {
		return err
	}
	if w.proc != life {
		return errors.New("it ended by itself")
	}
	return w.stopped()
}

// emptied lets weir deliver on the full disk, where checkpoint and reclaim make the room, and then with what the other
// process took.
func (w *world) emptied(c *fullCase) error {
	if c.greedy {
		if err := w.greed(c.takes); err != nil {
			return err
		}
	} else if err := w.drained(); err != nil {
		return fmt.Errorf("on the full disk: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(w.backing, "ballast")); err != nil {
		return err
	}
	if err := w.drained(); err != nil {
		return err
	}
	if !w.post(w.rng, 3, 100) {
		return errors.New("it takes no events after there is room again")
	}
	if err := w.drained(); err != nil {
		return err
	}
	if c.takenAgain {
		return await(func() bool {
			info, err := os.Stat(filepath.Join(w.dataDir, "RESERVE"))
			return err == nil && info.Size() == 8<<20
		}, "the reserve is not taken again")
	}
	return nil
}

// greed takes what weir frees until the destination has had some batches, or weir waits for room.
func (w *world) greed(takes func(string) error) error {
	for range 20 {
		if err := takes(w.backing); err != nil {
			return err
		}
		if err := w.until(10 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// hold has the destination keep bulk requests without an answer until it is released: the batches stay in flight.
func (w *world) hold() (release func()) {
	wait := make(chan struct{})
	w.es.SetRequest(func(elastictest.Request) elastictest.Fault { return elastictest.Fault{Wait: wait} })
	var released atomic.Bool
	return func() {
		if released.CompareAndSwap(false, true) {
			w.es.SetRequest(nil)
			close(wait)
		}
	}
}

// refused posts until weir refuses large bodies, then until it goes on refusing small ones, and looks at how it does.
// Between the two it may take some: a failed group gives back what it had taken.
func (w *world) refused(c *fullCase) error {
	for range 3000 {
		r := w.send(w.rng, 20, 3000)
		if r.status == http.StatusAccepted {
			continue
		}
		if c.codes == nil { // the log goes on in another file each time
			return r.err
		}
		if err := c.refuses(r); err != nil {
			return err
		}
		return w.staysRefused(c)
	}
	return errors.New("a full disk still takes events")
}

func (w *world) staysRefused(c *fullCase) error {
	row := 0
	for range 5000 {
		r := w.send(w.rng, 2, 50)
		if r.status == http.StatusAccepted {
			row = 0
			continue
		}
		if err := c.refuses(r); err != nil {
			return err
		}
		if row++; row >= 10 && !w.ready() {
			return nil
		}
	}
	return errors.New("a full disk takes small events for ever, or refuses them and says that it is ready")
}

// refuses returns an error unless the answer tells the client what it has to know.
func (c *fullCase) refuses(r reply) error {
	if r.err != nil {
		return fmt.Errorf("no answer on a full disk: %w", r.err)
	}
	if seconds, err := strconv.Atoi(r.retryAfter); err != nil || seconds < 1 || r.status != http.StatusServiceUnavailable || !slices.Contains(c.codes, r.code) {
		return fmt.Errorf("a full disk answers %+v", r)
	}
	return nil
}
