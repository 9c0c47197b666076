package cutfs

import "sync"

// Recording is what happened on a file system, in order. Its methods may be called concurrently.
type Recording struct {
	base *Tree

	mu  sync.Mutex
	ops []Op
}

// Base returns what was there before the first operation, all of it durable.
func (r *Recording) Base() *Tree { return r.base }

// Len returns the number of operations and marks so far.
func (r *Recording) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Mark notes that something happened in the world outside, and returns its position: a cut at a position greater than
// it comes after it.
func (r *Recording) Mark(note string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, Op{Kind: Mark, Note: note})
	return len(r.ops)
}

// Ops returns the operations so far. They may not be changed.
func (r *Recording) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops[:len(r.ops):len(r.ops)]
}

func (r *Recording) add(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}
