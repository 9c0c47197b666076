package lua

import (
	"fmt"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

const (
	// maxStateNames and stateShare bound what a state holds: so many names, and this share of max_memory.
	maxStateNames = 10_000
	stateShare    = 16
	// bytesStateName is what a name costs besides its own bytes and those of a text.
	bytesStateName = 64
)

// state is what a script keeps from event to event: names and plain values. It is made of Go values, not of
// the Lua state's, so that a worker that is thrown away can hand it to the next one. What an event changes is
// undone when the event fails.
type state struct {
	entries  []stateEntry   // in the order in which names came; pairs shows them so
	places   map[string]int // name to its entry
	live     int            // entries with a value
	bytes    int64          // of the live entries
	maxBytes int64
	undo     []stateEntry // values before the event at hand, the first one oldest
}

// stateEntry is a name and its value: a string, number or boolean, exact for a number beyond Lua's, nil for none. One
// without a value keeps its place until the event ends, since a script may be going through the names.
type stateEntry struct {
	name  string
	value any
}

func newState(maxMemory int64) *state {
	return &state{places: map[string]int{}, maxBytes: maxMemory / stateShare}
}

func (e *stateEntry) size() int64 {
	if e.value == nil {
		return 0
	}
	return int64(len(e.name) + bytesStateName + textLen(e.value))
}

// textLen is how long the text of a value is that a state keeps, 0 of one that is none.
func textLen(value any) int {
	switch v := value.(type) {
	case glua.LString:
		return len(v)
	case exact:
		return len(v)
	}
	return 0
}

// get returns the value of a name, nil for none.
func (s *state) get(name string) any {
	if i, ok := s.places[name]; ok {
		return s.entries[i].value
	}
	return nil
}

// set gives a name a value, for as long as the event at hand does not fail. The error is for the script. What is kept
// is a copy: a text may be a piece of a large one, which would stay as well.
func (s *state) set(name string, value any) error {
	i, known := s.places[name]
	if !known && value == nil {
		return nil
	}
	var before stateEntry
	if known {
		before = s.entries[i]
	} else {
		before.name = strings.Clone(name)
	}
	now := stateEntry{before.name, value}
	if value != nil && before.value == nil && s.live >= maxStateNames {
		return fmt.Errorf("state holds %d names, which is its limit; assign nil to old ones", maxStateNames)
	}
	if size := s.bytes - before.size() + now.size(); value != nil && size > s.maxBytes && size > s.bytes {
		return fmt.Errorf("state would hold more than %d bytes, which is its limit (transform.max_memory / %d)", s.maxBytes, stateShare)
	}
	if text, ok := value.(glua.LString); ok {
		now.value = glua.LString(strings.Clone(string(text)))
	}
	s.undo = append(s.undo, before)
	s.store(i, known, now)
	return nil
}

// store puts an entry into its place, or a new one at the end.
func (s *state) store(i int, known bool, now stateEntry) {
	if !known {
		i = len(s.entries)
		s.places[now.name] = i
		s.entries = append(s.entries, stateEntry{name: now.name})
	}
	before := s.entries[i]
	s.bytes += now.size() - before.size()
	if before.value != nil {
		s.live--
	}
	if now.value != nil {
		s.live++
	}
	s.entries[i] = now
}

// keep makes the event's changes last.
func (s *state) keep() {
	if len(s.undo) == 0 {
		return
	}
	clear(s.undo)
	s.undo = s.undo[:0]
	s.compact()
}

// revert undoes the event's changes.
func (s *state) revert() {
	if len(s.undo) == 0 {
		return
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		before := s.undo[i]
		s.store(s.places[before.name], true, before)
	}
	s.keep()
}

// compact drops entries without a value once they are many.
func (s *state) compact() {
	if cap(s.undo) > maxStateNames {
		s.undo = nil
	}
	if len(s.entries)-s.live <= s.live+16 {
		return
	}
	kept := make([]stateEntry, 0, s.live)
	s.places = make(map[string]int, s.live)
	for _, e := range s.entries {
		if e.value != nil {
			s.places[e.name] = len(kept)
			kept = append(kept, e)
		}
	}
	s.entries = kept
}
