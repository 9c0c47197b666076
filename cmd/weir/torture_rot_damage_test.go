//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stopped is a context that has ended.
var stopped = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

const sectorBytes = 512

// damage is one thing that was done to a data directory.
type damage struct {
	kind  string
	what  string
	files map[string][]byte // those that are other than in the base; nil: gone
	// several says that two files suffered at once: one may have been the only witness of what the other lost, or holds
	// now what was another's. weir has to start, to deliver what it finds, and to stop.
	several bool
}

// damages does everything else to the files, and starts the whole service each time.
func (b *rotBase) damages(tt *torture, judges *cutJudges, tally *rotTally) {
	all := slices.Concat(b.truncations(), b.sectors(), b.wholeFiles(), b.databaseFlips(), b.letterFlips())
	for _, d := range all {
		tally.of[d.kind]++
	}
	b.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if tt.quick() {
		all = all[:120]
	}
	work := make(chan damage)
	var wg sync.WaitGroup
	for range cap(judges.free) {
		wg.Go(func() {
			for d := range work {
				b.judge(tt, judges, d)
			}
		})
	}
	for _, d := range all {
		if !tt.quick() && time.Now().After(b.until) {
			break
		}
		work <- d
		tally.tried[d.kind]++
	}
	close(work)
	wg.Wait()
}

// judge starts the service on the damaged directory.
func (b *rotBase) judge(tt *torture, judges *cutJudges, d damage) {
	r := <-judges.free
	defer func() { judges.free <- r }()
	files := maps.Clone(b.files)
	for path, content := range d.files {
		if files[path] = content; content == nil {
			delete(files, path)
		}
	}
	if err := errors.Join(r.clear(), writeFiles(filepath.Join(r.dir, "data"), files)); err != nil {
		tt.Error(err)
		return
	}
	v := verdict{}
	if len(d.what)%4 == 0 { // one in four
		if err := r.fail(); err != nil {
			v.byHand = append(v.byHand, err.Error())
		}
	}
	rec, err := r.recover(b.stored)
	if err != nil {
		v.byHand = append(v.byHand, err.Error())
	} else {
		v = b.ledger.judge(1, rec.aftermath)
		if d.several {
			v = verdict{}
		}
	}
	tt.try(1)
	tt.judge(v, func(to string) error {
		return errors.Join(writeFiles(filepath.Join(to, "state", "data"), files), exec.Command("cp", "-a", r.dir, filepath.Join(to, "after")).Run())
	}, "%s; it said:\n%s", d.what, rec.log)
}

func (b *rotBase) paths() []string { return slices.Sorted(maps.Keys(b.files)) }

// truncations cuts every segment and the database at every length, those of the database at page and sector borders and beside.
func (b *rotBase) truncations() (all []damage) {
	for _, path := range b.paths() {
		content := b.files[path]
		for n := range content {
			if path == "weir.db" && n%sectorBytes > 1 {
				continue
			}
			all = append(all, damage{kind: "lengths cut", what: fmt.Sprintf("%s cut to %d bytes", path, n), files: map[string][]byte{path: content[:n]}})
		}
	}
	return all
}

// sectors zeroes every sector, swaps it with the next one, and replaces it by an older version.
func (b *rotBase) sectors() (all []damage) {
	for _, path := range b.paths() {
		content, old := b.files[path], b.older[path]
		for at := 0; at < len(content); at += sectorBytes {
			end := min(at+sectorBytes, len(content))
			edit := func(what string, change func(c []byte)) {
				c := slices.Clone(content)
				change(c)
				all = append(all, damage{kind: "sectors", what: fmt.Sprintf("%s, bytes %d to %d %s", path, at, end, what), files: map[string][]byte{path: c}})
			}
			edit("zeroed", func(c []byte) { clear(c[at:end]) })
			if next := end + sectorBytes; next <= len(content) {
				edit("swapped with the sector behind", func(c []byte) { copy(c[at:end], content[end:next]); copy(c[end:next], content[at:end]) })
			}
			if end <= len(old) {
				edit("as they were earlier", func(c []byte) { copy(c[at:end], old[at:end]) })
			}
		}
	}
	return all
}

// wholeFiles loses, empties, doubles, renames and exchanges files, and brings back older ones.
func (b *rotBase) wholeFiles() (all []damage) {
	add := func(files map[string][]byte, what string, args ...any) {
		all = append(all, damage{"whole files", fmt.Sprintf(what, args...), files, strings.Contains(what, "%s and %s")})
	}
	paths := b.paths()
	for i, path := range paths {
		content := b.files[path]
		add(map[string][]byte{path: nil}, "%s is gone", path)
		add(map[string][]byte{path: {}}, "%s is empty", path)
		add(map[string][]byte{path + ".copy": content}, "%s is there twice", path)
		add(map[string][]byte{path: nil, path + ".old": content}, "%s has another name", path)
		if old, ok := b.older[path]; ok {
			add(map[string][]byte{path: old}, "%s is of an earlier time", path)
		}
		if filepath.Dir(path) != "." {
			next := fmt.Sprintf("%s/%020d", filepath.Dir(path), 1_000_000)
			add(map[string][]byte{next: content}, "%s is there again as the last segment", path)
			add(map[string][]byte{path: nil, next: content}, "%s is named as the last segment", path)
		}
		for _, other := range paths[i+1:] {
			add(map[string][]byte{path: b.files[other], other: content}, "%s and %s are exchanged", path, other)
			add(map[string][]byte{path: nil, other: nil}, "%s and %s are gone", path, other)
		}
	}
	return all
}

// databaseFlips flips one bit of every few bytes of weir.db.
func (b *rotBase) databaseFlips() (all []damage) {
	for at := 0; at < len(b.files["weir.db"]); at += 1 + b.rng.IntN(16) {
		c := slices.Clone(b.files["weir.db"])
		bit := b.rng.IntN(8)
		c[at] ^= 1 << bit
		all = append(all, damage{kind: "bits of weir.db", what: fmt.Sprintf("bit %d of byte %d of weir.db flipped", bit, at), files: map[string][]byte{"weir.db": c}})
	}
	return all
}

// letterFlips flips one bit of every few bytes of the dead-letter logs.
func (b *rotBase) letterFlips() (all []damage) {
	for _, path := range b.paths() {
		if !strings.HasPrefix(path, "dead") {
			continue
		}
		for at := 0; at < len(b.files[path]); at += 1 + b.rng.IntN(4) {
			c := slices.Clone(b.files[path])
			bit := b.rng.IntN(8)
			c[at] ^= 1 << bit
			all = append(all, damage{kind: "bits of dead letters", what: fmt.Sprintf("bit %d of byte %d of %s flipped", bit, at, path), files: map[string][]byte{path: c}})
		}
	}
	return all
}
