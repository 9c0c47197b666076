//go:build linux

package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"pgregory.net/rapid"
)

// tortureModel drives log, checkpoint, flusher and dead letters with random sequences of what may happen to them, beside a
// reference of what they promise, and compares after each step. A sequence that fails is shrunk.
//
// rapid knows its seed and the number of sequences from flags of its own only, so they are set here: both follow from the
// torture seed. Whoever gives -rapid.seed, which a failure prints, repeats that sequence alone.
func tortureModel(tt *torture) {
	dir, n := memoryDir(tt), 0
	var last *reference // of the sequence that was tried last: of the shrunk one, when one fails
	sequence := func(t *rapid.T) {
		n++
		last = nil
		tt.try(1)
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newModelMachine(t, filepath.Join(dir, strconv.Itoa(n)))
			last = m.ref
			t.Repeat(m.actions())
			m.finish(t)
		})
	}
	seed, given := tt.seed, false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.seed" || f.Name == "rapid.failfile" })
	const checks = 150
	// The seed says it all, and a file left behind would go first in every later run.
	setFlags(tt, map[string]string{"rapid.nofailfile": "true"})
	defer func() { // a sequence that fails ends the test
		if !tt.quick() {
			tt.note("%.0f sequences a second", float64(tt.tried)/time.Since(tt.started).Seconds())
		}
		if tt.Failed() {
			v := verdict{byHand: []string{"see above"}}
			if last != nil && !last.ok() {
				v = last.verdict
			}
			tt.judge(v, nil, "the sequence that is told of above, shrunk")
		}
	}()
	for round := range tt.rounds(1) {
		if !given {
			setFlags(tt, map[string]string{"rapid.checks": strconv.Itoa(checks), "rapid.seed": strconv.FormatUint(seed+uint64(round)<<32, 10)})
		}
		rapid.Check(tt.T, sequence) // not in a subtest: its name goes into the command that rapid prints
		if given {
			break
		}
	}
}

// setFlags sets flags of the test binary until the test ends.
func setFlags(tt *torture, values map[string]string) {
	for name, value := range values {
		f := flag.Lookup(name)
		old := f.Value.String()
		tt.Cleanup(func() { _ = f.Value.Set(old) }) // it was valid before
		if err := f.Value.Set(value); err != nil {
			tt.Fatal(fmt.Errorf("-%s: %w", name, err))
		}
	}
}
