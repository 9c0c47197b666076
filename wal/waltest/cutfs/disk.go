package cutfs

import (
	"maps"
	"slices"
)

// change is one operation that may or may not have reached the disk.
type change struct {
	op *Op
	at int // its position in the recording
	// stale says that an fsync failed after it: no later one makes it durable any more.
	stale bool
	// gone is the half of a rename that takes the old name away; the other half is a change of its own.
	gone bool
}

// history is a file or a directory: what is durable, and what came since, in order. A change that a failed fsync left
// behind may have durable ones after it.
type history struct {
	changes []change
	durable []bool
}

func (h *history) add(c change) {
	h.changes = append(h.changes, c)
	h.durable = append(h.durable, false)
}

// sync makes durable what an fsync can still reach.
func (h *history) sync() {
	for i := range h.changes {
		h.durable[i] = h.durable[i] || !h.changes[i].stale
	}
}

// fail notes that an fsync failed: what it was to write was thrown away, and passes for clean.
func (h *history) fail() {
	for i := range h.changes {
		h.changes[i].stale = h.changes[i].stale || !h.durable[i]
	}
}

// settled takes the durable changes before the first that is not off the history, for the caller to apply.
func (h *history) settled() []change {
	n := 0
	for n < len(h.changes) && h.durable[n] {
		n++
	}
	done := h.changes[:n]
	h.changes, h.durable = h.changes[n:], h.durable[n:]
	return done
}

type file struct {
	history
	base content
}

type directory struct {
	history
	base map[string]uint64
}

// disk follows a recording and knows at each position what is durable and what is not.
type disk struct {
	files map[uint64]*file
	dirs  map[uint64]*directory
	order []uint64 // nodes in order of appearance, so that choices are repeatable
	pos   int      // operations done
	// synced is the position behind the last successful fsync of anything.
	synced int
}

func newDisk(base *Tree) *disk {
	d := &disk{files: map[uint64]*file{}, dirs: map[uint64]*directory{}}
	for _, node := range slices.Sorted(maps.Keys(base.dirs)) {
		d.dirs[node] = &directory{base: maps.Clone(base.dirs[node])}
	}
	for _, node := range slices.Sorted(maps.Keys(base.files)) {
		d.files[node] = &file{base: base.files[node]}
	}
	d.order = slices.Sorted(maps.Keys(d.dirs))
	d.order = append(d.order, slices.Sorted(maps.Keys(d.files))...)
	return d
}

// do follows one operation.
func (d *disk) do(op *Op) {
	at := d.pos
	d.pos++
	if op.Err != 0 && op.Kind != SyncFile && op.Kind != SyncDir && (op.Kind != Write || len(op.Data) == 0) {
		return
	}
	c := change{op: op, at: at}
	switch op.Kind {
	case Create:
		d.files[op.Node] = &file{}
		d.order = append(d.order, op.Node)
		d.name(op.Parent, c)
	case Mkdir:
		d.dirs[op.Node] = &directory{base: map[string]uint64{}}
		d.order = append(d.order, op.Node)
		d.name(op.Parent, c)
	case Write, Truncate, Allocate:
		if f := d.files[op.Node]; f != nil {
			f.add(c)
		}
	case Rename:
		d.name(op.NewParent, c)
		if op.Parent != op.NewParent {
			c.gone = true
			d.name(op.Parent, c)
		}
	case Link:
		d.name(op.NewParent, c)
	case Unlink, Rmdir:
		d.name(op.Parent, c)
	case SyncFile, SyncDir:
		d.sync(op)
	}
}

func (d *disk) name(dir uint64, c change) {
	if h := d.dirs[dir]; h != nil {
		h.add(c)
	}
}

func (d *disk) sync(op *Op) {
	if op.Err == 0 {
		d.synced = d.pos
	}
	if f := d.files[op.Node]; f != nil {
		if op.Err != 0 {
			f.fail()
			return
		}
		f.sync()
		for _, c := range f.settled() {
			f.base = apply(f.base, c.op, c.op.Data)
		}
	}
	if dir := d.dirs[op.Node]; dir != nil && op.Err == 0 {
		dir.sync()
		for _, c := range dir.settled() {
			entry(dir.base, op.Node, c)
		}
	}
}

// apply does what an operation does to the bytes of its file; data takes the place of a write's.
func apply(c content, op *Op, data []byte) content {
	switch op.Kind {
	case Write:
		return c.write(op.Offset, data)
	case Truncate:
		return c.resize(op.Size)
	case Allocate:
		return c.resize(max(c.size, op.Size))
	}
	return c
}

// entry does what a change does to the names in one directory.
func entry(names map[string]uint64, dir uint64, c change) {
	switch op := c.op; op.Kind {
	case Create, Mkdir:
		names[op.Name] = op.Node
	case Link:
		names[op.NewName] = op.Node
	case Unlink, Rmdir:
		delete(names, op.Name)
	case Rename:
		if op.Parent == dir && names[op.Name] == op.Node {
			delete(names, op.Name)
		}
		if op.NewParent == dir && !c.gone {
			names[op.NewName] = op.Node
		}
	}
}
