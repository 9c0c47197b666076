//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal"
)

// flipOfTheLog is the kind of damage that flips does; for the others see rotBase.damages.
const flipOfTheLog = "bits of the log"

// rotTally counts damages by kind: how many there are of a base, and how many there was time for.
type rotTally struct{ tried, of map[string]int }

func newRotTally() *rotTally { return &rotTally{map[string]int{}, map[string]int{}} }

func (y *rotTally) tell(tt *torture) {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(y.of)) {
		all = append(all, fmt.Sprintf("%d of %d %s", y.tried[kind], y.of[kind], kind))
	}
	tt.note("%s", strings.Join(all, ", "))
}

// tortureRot damages what lies on the disk of a stopped weir, in every way, and starts it.
func tortureRot(tt *torture) {
	judges, tally := newCutJudges(tt), newRotTally()
	defer tally.tell(tt)
	for round := range tt.rounds(1) {
		for _, killed := range []bool{false, true} {
			var b *rotBase
			if !tt.Run(fmt.Sprintf("base %d, killed %v", round, killed), func(t *testing.T) { b = newRotBase(t, tt.seed+uint64(round), killed) }) {
				return
			}
			b.until = earlier(time.Now().Add(tt.budget/2), tt.started.Add(tt.budget)) // there are two of them
			b.flips(tt, tally)
			b.damages(tt, judges, tally)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// rotBase is a data directory: a log of three segments and more, of which nothing is delivered, letters, and a checkpoint.
type rotBase struct {
	ledger *ledger
	stored []elastictest.Doc
	files  map[string][]byte // by path below the data directory
	older  map[string][]byte // the same of an earlier time
	rng    *rand.Rand
	until  time.Time // when the time for this base is used up
	// settled is the last event that is: the letters' log answers for those up to it, the main log for the rest.
	settled int
}

func newRotBase(t *testing.T, seed uint64, killed bool) *rotBase {
	b := &rotBase{ledger: newLedger(), rng: rand.New(rand.NewPCG(seed, 11))}
	b.ledger.damaged = true
	w := newWorldIn(t, filepath.Join(memoryDir(t), "data"), b.rng)
	w.ledger, w.environ = b.ledger, append(w.environ, "WEIR_SHUTDOWN_TIMEOUT=100ms")
	life := func(away bool, bodies int) {
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		w.away(away)
		for range bodies {
			at := 1
			events := append(b.ledger.make(b.rng, 1+b.rng.IntN(4), 200, at), b.ledger.makeKind("plain", at))
			if status, answer := w.proc.post("/ingest", "application/x-ndjson", string(tortureBody(events))); status != 202 {
				t.Fatal(status, answer)
			}
			b.ledger.ack(events, at)
		}
	}
	life(false, 8)
	w.proc.post("/ingest", "application/json", `{"n":0,`) // a body that is refused whole
	w.ledger.events[0] = &tortureEvent{kind: "bad", raw: []byte(`{"n":0,`), sent: 1, acked: 1}
	w.proc.drain()
	b.stored, b.settled = w.es.Docs(), b.ledger.last
	for range 2 {
		w.proc.kill()
		life(true, 5)
	}
	b.older = readFiles(t, w.dataDir)
	w.proc.kill()
	life(true, 5)
	if killed {
		w.proc.kill()
	} else if err := w.terminate(); err != nil {
		t.Fatal(err)
	}
	b.files = readFiles(t, w.dataDir)
	return b
}

// tortureScriptFile writes the script that every tortured weir runs.
func tortureScriptFile(t testing.TB) string {
	script := filepath.Join(t.TempDir(), "torture.lua")
	if err := os.WriteFile(script, []byte(tortureScript), 0o640); err != nil {
		t.Fatal(err)
	}
	return script
}

// readFiles reads a data directory, but for the reserve, which holds nothing.
func readFiles(t testing.TB, dir string) map[string][]byte {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "RESERVE" {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			files[rel], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func writeFiles(dir string, files map[string][]byte) error {
	for path, b := range files {
		at := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o750), os.WriteFile(at, b, 0o640)); err != nil {
			return err
		}
	}
	return nil
}

// segments lists the segments of the main log, oldest first.
func (b *rotBase) segments() []string {
	var names []string
	for path := range b.files {
		if strings.HasPrefix(path, "wal"+string(filepath.Separator)) {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return names
}

// record is what a reader of the undamaged log says of an offset.
type rotRecord struct {
	offset  wal.Offset
	payload string
}

// flips flips every bit of every segment, in any order, and reads the log: what is said of each is looked at closely, which
// the whole service is too slow for. The small share, or a budget that is too short, tries a part of them.
func (b *rotBase) flips(tt *torture, tally *rotTally) {
	whole, _, said, err := readLog(filepath.Join(memoryDir(tt.T), "wal"), b.logFiles("", nil))
	if err != nil || len(whole) == 0 || said != "" {
		tt.Fatalf("the undamaged log: %d records, %v, %s", len(whole), err, said)
	}
	b.ledger.offsets = map[int]wal.Offset{}
	for _, rec := range whole {
		if n, ok := eventNumber([]byte(rec.payload)); ok && n > b.settled {
			b.ledger.offsets[n] = rec.offset
		}
	}
	type flip struct {
		segment string
		bit     int
	}
	var all []flip
	for _, name := range b.segments() {
		for bit := range 8 * len(b.files[name]) {
			all = append(all, flip{name, bit})
		}
	}
	bits := len(all)
	b.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if tt.quick() {
		all = all[:400]
	}
	flips := make(chan flip)
	var wg sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		dir := filepath.Join(memoryDir(tt.T), "wal")
		wg.Go(func() {
			for f := range flips {
				damaged := slices.Clone(b.files[f.segment])
				damaged[f.bit/8] ^= 1 << (f.bit % 8)
				v := b.judgeLog(dir, f.segment, damaged, whole)
				if !keptAside(dir, f.segment, f.bit/8) {
					v.unnoticed = append(v.unnoticed, "the byte is not among those that were set aside")
				}
				tt.try(1)
				tt.judge(v, nil, "bit %d of %s flipped", f.bit, f.segment)
			}
		})
	}
	until := earlier(time.Now().Add(tt.budget/4), b.until) // the rest is for other damage
	tally.of[flipOfTheLog] += bits
	for _, f := range all {
		if !tt.quick() && time.Now().After(until) {
			break
		}
		flips <- f
		tally.tried[flipOfTheLog]++
	}
	close(flips)
	wg.Wait()
}

// keptAside reports whether the repair directory beside the log in dir holds a copy of the byte at a position of a
// segment or the durable mark.
func keptAside(dir, segment string, at int) bool {
	name := filepath.Base(segment)
	entries, err := os.ReadDir(repairBeside(dir))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == name || e.Name() == name+".damaged" {
			return true // all of it
		}
		var from, size int
		rest, ok := strings.CutPrefix(e.Name(), name)
		if n, _ := fmt.Sscanf(rest, "-%d-%d.damaged", &from, &size); ok && n == 2 && from <= at && at < from+size {
			return true
		}
		if n, _ := fmt.Sscanf(rest, "-%d.torn", &from); ok && n == 1 && from <= at {
			return true
		}
	}
	return false
}

func repairBeside(dir string) string { return filepath.Join(filepath.Dir(dir), "repair") }

// logFiles is the main log with one segment replaced.
func (b *rotBase) logFiles(segment string, by []byte) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range b.segments() {
		files[filepath.Base(name)] = b.files[name]
		if name == segment {
			files[filepath.Base(name)] = by
		}
	}
	return files
}

// judgeLog reads a log with one damaged segment. At most one record may be missing for a flipped bit, and for none may
// another one come; something has to be said.
func (b *rotBase) judgeLog(dir, segment string, damaged []byte, whole []rotRecord) (v verdict) {
	got, lost, said, err := readLog(dir, b.logFiles(segment, damaged))
	if err != nil {
		v.byHand = append(v.byHand, err.Error())
		return v
	}
	if said == "" {
		v.unnoticed = append(v.unnoticed, "nothing was said")
	}
	missing := 0
	for _, w := range whole {
		i, found := slices.BinarySearchFunc(got, w.offset, func(r rotRecord, o wal.Offset) int { return int(int64(r.offset) - int64(o)) })
		switch {
		case found && got[i].payload != w.payload:
			v.invented = append(v.invented, fmt.Sprintf("offset %d is %.100q, was %.100q", w.offset, got[i].payload, w.payload))
		case !found:
			missing++
			if !slices.ContainsFunc(lost, func(d wal.CorruptionError) bool { return d.First <= w.offset && w.offset <= d.Last }) {
				v.unnoticed = append(v.unnoticed, fmt.Sprintf("offset %d is not there, and no damage names it", w.offset))
			}
		}
	}
	if len(got)+missing != len(whole) {
		v.invented = append(v.invented, fmt.Sprintf("%d records, and %d missing; there were %d", len(got), missing, len(whole)))
	}
	if missing > 1 {
		v.lost = append(v.lost, fmt.Sprintf("%d records for one flipped bit", missing))
	}
	return v
}

// readLog writes a log to dir, opens it as the service does and reads its records. What is damaged, and what it says on the
// way, is returned.
func readLog(dir string, files map[string][]byte) (recs []rotRecord, lost []wal.CorruptionError, said string, err error) {
	repair := repairBeside(dir)
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(repair), writeFiles(dir, files)); err != nil {
		return nil, nil, "", err
	}
	var lines bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log, err := wal.Open(dir, wal.Options{RepairDir: repair, Logger: logger, FreshEpoch: true})
	if err != nil {
		return nil, nil, "", err
	}
	r := log.NewReader(0)
	for r.Position() <= log.DurableOffset() {
		rec, err := r.Next(stopped)
		if err != nil {
			return nil, nil, "", errors.Join(err, r.Close(), log.Run(stopped))
		}
		if rec.Flags&wal.FlagDamaged != 0 {
			lost = append(lost, *rec.Damage)
		} else {
			recs = append(recs, rotRecord{rec.Offset, string(rec.Payload)})
		}
	}
	err = errors.Join(r.Close(), log.Run(stopped))
	return recs, lost, lines.String(), err
}
