package cutfs

import (
	"fmt"
	"iter"
	"math/rand/v2"
)

// Model says what a disk may forget.
type Model uint8

const (
	// Ordered is what journals do in practice: names and sizes reach the disk in the order in which they were made, and a
	// successful fsync of anything brings all of them up to that moment; bytes that were not fsynced may be torn.
	Ordered Model = iota
	// Reordering is what POSIX promises and no more: fsync of a file brings its bytes and size, fsync of a directory the
	// names in it, and everything else may be missing or there, torn or whole, each by itself. Only a rename from one
	// directory to another never takes the old name away without giving the new one.
	Reordering
	models
)

func (m Model) String() string { return [...]string{"ordered", "reordering"}[m] }

// Models are all of them.
func Models() []Model { return []Model{Ordered, Reordering} }

// Cursor goes through a recording and makes, at each position, the states that a cut there may leave.
type Cursor struct {
	ops []Op
	*disk
}

// NewCursor begins before the first operation, with base on the disk.
func NewCursor(base *Tree, ops []Op) *Cursor { return &Cursor{ops, newDisk(base)} }

// Next goes past the next operation that changes what a cut may leave, and past what follows it up to the one after: the
// marks of answers that left meanwhile count. It returns false at the end.
func (c *Cursor) Next() bool {
	changed := false
	for c.pos < len(c.ops) {
		op := &c.ops[c.pos]
		if op.Kind.Changes() {
			if changed {
				return true
			}
			changed = true
		}
		c.do(op)
	}
	return changed
}

// Position is how many operations lie behind the cursor.
func (c *Cursor) Position() int { return c.pos }

// choice says for each change that may be missing whether it is there, and how it is torn.
type choice func(i int, ch *change, last bool) (there bool, t Tear)

// Systematic makes the states that are worth trying at every position: nothing of what may be missing, all of it, each
// change missing alone, each there alone, and the last one of each file torn in every way, with all else there and
// with nothing else there. seed decides where a tear goes through.
func (c *Cursor) Systematic(m Model, seed uint64) iter.Seq[*State] {
	return func(yield func(*State) bool) {
		n := c.optional(m)
		state := func(how string, pick choice) bool { return yield(c.build(m, how, seed, pick)) }
		if !state("nothing unsynced", func(int, *change, bool) (bool, Tear) { return false, whole }) || n == 0 {
			return
		}
		if !state("everything", func(int, *change, bool) (bool, Tear) { return true, whole }) {
			return
		}
		for t := cut; t < tears; t++ {
			tearLast := func(_ int, _ *change, last bool) (bool, Tear) {
				if last {
					return true, t
				}
				return true, whole
			}
			if !state("the last write of each file "+t.String(), tearLast) {
				return
			}
			only := func(_ int, _ *change, last bool) (bool, Tear) { return last, t }
			if m == Reordering && !state("only the last write of each file, "+t.String(), only) {
				return
			}
		}
		for k := range n {
			if n == 1 {
				return
			}
			without := func(i int, _ *change, _ bool) (bool, Tear) {
				return m == Ordered && i < k || m == Reordering && i != k, whole
			}
			if !state(fmt.Sprintf("without change %d of %d", k, n), without) {
				return
			}
			if alone := func(i int, _ *change, _ bool) (bool, Tear) { return i == k, whole }; m == Reordering && !state(fmt.Sprintf("only change %d of %d", k, n), alone) {
				return
			}
		}
	}
}

// Random makes one state by chance. The same seed makes the same state.
func (c *Cursor) Random(m Model, seed uint64) *State {
	rng := rand.New(rand.NewPCG(seed, uint64(c.pos)))
	share, torn := []float64{0.1, 0.5, 0.9}[rng.IntN(3)], []float64{0, 0.3, 0.8}[rng.IntN(3)]
	from := rng.IntN(c.optional(m) + 1) // in the ordered model, what is there is a prefix
	return c.build(m, fmt.Sprintf("random %d", seed), seed, func(i int, _ *change, _ bool) (bool, Tear) {
		there := rng.Float64() < share
		if m == Ordered {
			there = i < from
		}
		if rng.Float64() < torn {
			return there, cut + Tear(rng.IntN(int(tears-cut)))
		}
		return there, whole
	})
}

// optional counts the changes that may be missing.
func (c *Cursor) optional(m Model) int {
	n := 0
	c.build(m, "", 0, func(i int, _ *change, _ bool) (bool, Tear) { n = i + 1; return false, whole })
	return n
}
