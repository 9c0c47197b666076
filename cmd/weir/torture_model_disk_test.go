//go:build linux

package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/weirlog/weir/wal/waltest"
)

// modelDisk is what the log of one data directory writes to. It fails operations, holds one up, and knows which bytes and
// names an fsync has covered, so that it can make what a crash may leave. Only the log's segments are subject to that; the
// files of other parts are always left as they are.
type modelDisk struct {
	wal string // directory of the segments

	mu      sync.Mutex
	faults  []modelFault // to come, the next one first
	hold    *modelFault  // an operation to wait in; nil for none
	held    bool         // it waits
	release chan error   // lets what is held go on, and fail
	before  int64        // size of the segment that is being written, before
	oldMark []byte       // the durable mark before the commit under way

	synced  map[string]int64  // bytes of a segment that an fsync has covered, by name
	failed  map[string]bool   // segments of which an fsync failed: no later one makes durable what it did not
	names   map[string]bool   // names that are durable
	removed map[string][]byte // what was unlinked since an fsync of the directory
}

// modelFault names an operation: the one behind skip others of its kind.
type modelFault struct {
	op   waltest.Op
	skip int
}

func newModelDisk(dir string) *modelDisk {
	d := &modelDisk{wal: dir, release: make(chan error, 1)}
	d.synced, d.names, d.failed, d.removed = map[string]int64{}, map[string]bool{}, map[string]bool{}, map[string][]byte{}
	d.readAgain()
	for name := range d.synced {
		d.names[name] = true
	}
	return d
}

// readAgain notes that a start fsyncs what it reads.
func (d *modelDisk) readAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.failed)
	for _, name := range d.segments() {
		d.synced[name] = sizeAt(filepath.Join(d.wal, name))
	}
}

// segments lists the log's segments, oldest first; none before its directory is made.
func (d *modelDisk) segments() []string {
	paths, err := filepath.Glob(filepath.Join(d.wal, strings.Repeat("[0-9]", 20)))
	if err != nil {
		panic(err) // of the pattern
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}

func sizeAt(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// hook is called around each operation of the log.
func (d *modelDisk) hook(op waltest.Op, path string) error {
	err := d.decide(op, path)
	if err == nil && op == waltest.OpUnlink {
		d.unlinks(path)
	}
	return err
}

// decide makes the operation wait, or fail, or neither.
func (d *modelDisk) decide(op waltest.Op, path string) error {
	d.mu.Lock()
	d.note(op, path)
	if d.meets(d.hold, op) {
		d.hold, d.held = nil, true
		d.mu.Unlock()
		return <-d.release
	}
	defer d.mu.Unlock()
	if len(d.faults) == 0 || !d.meets(&d.faults[0], op) {
		return nil
	}
	d.faults = d.faults[1:]
	if op == waltest.OpSync {
		d.failed[filepath.Base(path)] = true
	}
	if size := sizeAt(path); op == waltest.OpWritten && size > max(d.before, d.synced[filepath.Base(path)]) {
		_ = os.Truncate(path, (size+d.before)/2) // half of it was written; if not, all of it was
	}
	return unix.EIO
}

// meets reports whether f names the operation that is being done, and counts those that come before it.
func (d *modelDisk) meets(f *modelFault, op waltest.Op) bool {
	if f == nil || f.op != op {
		return false
	}
	f.skip--
	return f.skip < 0
}

// note remembers what is durable.
func (d *modelDisk) note(op waltest.Op, path string) {
	switch op {
	case waltest.OpWrite:
		d.before = sizeAt(path)
	case waltest.OpWritten:
		// A segment with a follower was full, and the library has synced it.
		if names := d.segments(); names[len(names)-1] != filepath.Base(path) {
			d.synced[filepath.Base(path)] = sizeAt(path)
		}
	case waltest.OpSync:
		d.oldMark, _ = os.ReadFile(filepath.Join(d.wal, "DURABLE")) // none is as good as any
	case waltest.OpSynced:
		if !d.failed[filepath.Base(path)] {
			d.synced[filepath.Base(path)] = sizeAt(path)
		}
	case waltest.OpSyncedDir:
		clear(d.names)
		clear(d.removed)
		for _, name := range d.segments() {
			d.names[name] = true
		}
	}
}

// unlinks remembers what is about to go. Another file may get its name.
func (d *modelDisk) unlinks(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if b, err := os.ReadFile(path); err == nil {
		d.removed[name] = b[:min(int64(len(b)), d.synced[name])]
	}
	delete(d.synced, name)
	delete(d.failed, name)
}

// arm makes operations fail, one after the other.
func (d *modelDisk) arm(faults ...modelFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, faults...)
}

// holdAt makes the disk wait in an operation.
func (d *modelDisk) holdAt(f modelFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = &f
}

// isHeld reports whether something waits.
func (d *modelDisk) isHeld() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}

// letGo ends what is held with the given error, and the wish to hold something.
func (d *modelDisk) letGo(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hold = nil; d.held {
		d.held = false
		d.release <- err
	}
}

// heal ends faults to come. What is held has failed.
func (d *modelDisk) heal() {
	d.letGo(unix.EIO)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// tornAs are the ways in which bytes that no fsync has covered can be found.
var tornAs = []string{"whole", "gone", "cut", "zeros", "garbage", "garbage behind"}

// crashed copies the data directory src to dst as a crash may leave it.
func (d *modelDisk) crashed(t *rapid.T, src, dst string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dst, path[len(src):])
		if e.IsDir() {
			return os.MkdirAll(to, 0o750)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Dir(path) == d.wal && e.Name() == "DURABLE" {
			return d.crashedMark(t, to, b)
		}
		if filepath.Dir(path) == d.wal {
			if !d.names[e.Name()] && rapid.Bool().Draw(t, "lose "+e.Name()) {
				return nil
			}
			b = d.torn(t, e.Name(), b)
		}
		return os.WriteFile(to, b, 0o640)
	})
	for _, name := range slices.Sorted(maps.Keys(d.removed)) {
		to := filepath.Join(dst, filepath.Base(d.wal), name)
		if _, serr := os.Stat(filepath.Join(d.wal, name)); err == nil && serr != nil && rapid.Bool().Draw(t, name+" comes back") {
			err = os.WriteFile(to, d.removed[name], 0o640)
		}
	}
	if err != nil {
		t.Fatalf("copy of the data directory: %v", err)
	}
}

// crashedMark writes the durable mark as a crash may leave it: nobody ever fsyncs it. It lies in one sector.
func (d *modelDisk) crashedMark(t *rapid.T, to string, b []byte) error {
	switch rapid.SampledFrom([]string{"exact", "gone", "empty", "older"}).Draw(t, "the durable mark") {
	case "gone":
		return nil
	case "empty":
		b = nil
	case "older":
		b = d.oldMark
	}
	return os.WriteFile(to, b, 0o640)
}

// torn is what may be left of a segment.
func (d *modelDisk) torn(t *rapid.T, name string, b []byte) []byte {
	safe := int(d.synced[name])
	if safe >= len(b) {
		return b
	}
	tail := b[safe:]
	at := func() int { return rapid.IntRange(0, len(tail)-1).Draw(t, "at") }
	switch rapid.SampledFrom(tornAs).Draw(t, "the end of "+name) {
	case "gone":
		tail = nil
	case "cut":
		tail = tail[:at()]
	case "zeros":
		clear(tail[at():])
	case "garbage":
		for i := at(); i < len(tail); i++ {
			tail[i] = byte(i)*167 + tail[i]
		}
	case "garbage behind":
		tail = append(slices.Clone(tail), bytes.Repeat([]byte{0xfe, 0x57, 0x46, 0xfd, 0xfc, 0xfb}, 20)...)
	}
	return append(b[:safe:safe], tail...)
}
