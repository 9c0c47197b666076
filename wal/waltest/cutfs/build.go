package cutfs

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// pending is a change that may be missing, with the node whose history it is in.
type pending struct {
	node uint64
	*change
	last  bool // the last write of its file
	there bool
	tear  Tear
}

// build makes a state of what is durable and of the changes that pick chooses. It asks in the order of the recording.
func (d *disk) build(m Model, how string, seed uint64, pick choice) *State {
	all := d.pending(m)
	for i := range all {
		p := &all[i]
		p.there, p.tear = pick(i, p.change, p.last)
	}
	d.keepFilesNamed(all)
	chosen := map[*change]*pending{}
	for i := range all {
		chosen[all[i].change] = &all[i]
	}
	s := &State{At: d.pos, How: fmt.Sprintf("%s model, %s, seed %d", m, how, seed), dirs: map[uint64]map[string]uint64{}, files: map[uint64]content{}}
	rng := rand.New(rand.NewPCG(seed, uint64(d.pos)^0x7ea5))
	for _, node := range d.order {
		if f := d.files[node]; f != nil {
			s.files[node] = f.state(chosen, rng)
		} else {
			s.dirs[node] = d.dirs[node].state(node, chosen)
		}
	}
	return s
}

// pending lists what may be missing, in the order of the recording.
func (d *disk) pending(m Model) []pending {
	var all []pending
	for _, node := range d.order {
		var h *history
		if f := d.files[node]; f != nil {
			h = &f.history
		} else {
			h = &d.dirs[node].history
		}
		last := -1
		for i := range h.changes {
			c := &h.changes[i]
			if h.durable[i] || m == Ordered && c.op.Kind != Write && c.at < d.synced {
				continue
			}
			all = append(all, pending{node: node, change: c})
			if c.op.Kind == Write {
				last = len(all) - 1
			}
		}
		if last >= 0 {
			all[last].last = true
		}
	}
	slices.SortStableFunc(all, func(a, b pending) int { return cmp.Compare(a.at, b.at) })
	return all
}

// keepFilesNamed sees to it that a rename between directories does not take the old name without giving the new one.
func (d *disk) keepFilesNamed(all []pending) {
	for i := range all {
		if all[i].gone {
			for j := range all {
				if all[j].op == all[i].op && !all[j].gone && !all[j].there {
					all[i].there = false
				}
			}
		}
	}
}

func (f *file) state(chosen map[*change]*pending, rng *rand.Rand) content {
	c := f.base
	for i := range f.changes {
		ch := &f.changes[i]
		p := chosen[ch]
		switch {
		case p == nil: // it may not be missing
			c = apply(c, ch.op, ch.op.Data)
		case p.there && p.tear != whole && ch.op.Kind == Write && len(ch.op.Data) > 0:
			c = apply(c, ch.op, tear(p.tear, ch.op, c, rng))
		case p.there:
			c = apply(c, ch.op, ch.op.Data)
		}
	}
	return c
}

func (dir *directory) state(node uint64, chosen map[*change]*pending) map[string]uint64 {
	names := maps.Clone(dir.base)
	for i := range dir.changes {
		if p := chosen[&dir.changes[i]]; p == nil || p.there {
			entry(names, node, dir.changes[i])
		}
	}
	return names
}
