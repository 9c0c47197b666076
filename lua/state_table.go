package lua

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"
)

// stateName is the global that a script declares to keep values from event to event.
const stateName = "state"

// openState makes the metatable of the script's state.
func (w *worker) openState() {
	w.stateMT = w.accessors(w.stateValue, w.assignState)
	w.state = newState(w.opts.MaxMemory)
}

// declareState takes over what the main chunk has assigned to state. The table stays the same one, with its
// fields behind the metatable, because the script may have it in a local as well.
func (w *worker) declareState() error {
	t, ok := w.base.RawGetString(stateName).(*glua.LTable)
	if !ok {
		return nil
	}
	if t.Metatable != glua.LNil {
		return fmt.Errorf("the global state must be an ordinary table: state = { ... }")
	}
	var names []glua.LValue
	for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
		name, value, err := w.stateEntryOf(k, v)
		if err == nil {
			err = w.state.set(name, value)
		}
		if err != nil {
			return err
		}
		names = append(names, k)
	}
	for _, k := range names {
		t.RawSet(k, glua.LNil)
	}
	t.Metatable = w.stateMT
	w.state.keep()
	w.keeps = true
	w.declared = append([]stateEntry(nil), w.state.entries...)
	return nil
}

// restartState gives the state the values that the script declares.
func (w *worker) restartState() {
	w.state = newState(w.opts.MaxMemory)
	for _, e := range w.declared {
		w.state.store(0, false, e)
	}
}

// stateEntryOf checks a name and a value.
func (w *worker) stateEntryOf(key, value glua.LValue) (string, any, error) {
	name, ok := key.(glua.LString)
	if !ok {
		return "", nil, fmt.Errorf("the names in state must be strings, not a %s (%s)", kindOf(key, w), short(key))
	}
	switch v := value.(type) {
	case glua.LString, glua.LNumber, glua.LBool:
		return string(name), v, nil
	case *glua.LNilType:
		return string(name), nil, nil
	}
	if e, ok := exactOf(value); ok {
		return string(name), exact(e), nil
	}
	return "", nil, fmt.Errorf("state.%s must be a string, a number or a boolean, not a %s; json.encode makes a string of a table", short(key), kindOf(value, w))
}

func (w *worker) assignState(L *glua.LState, key, value glua.LValue) {
	name, v, err := w.stateEntryOf(key, value)
	if err == nil {
		w.text(L, bytesStateName+len(name)+textLen(v)) // also for values that it replaces, which wait for the end
		err = w.state.set(name, v)
	}
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
}

func (w *worker) stateValue(key glua.LValue) glua.LValue {
	name, ok := key.(glua.LString)
	if !ok {
		return glua.LNil
	}
	return w.stateLua(w.state.get(string(name)))
}

// stateLua is the Lua value of a kept one.
func (w *worker) stateLua(v any) glua.LValue {
	switch v := v.(type) {
	case glua.LString:
		w.budget.grown(len(v)) // another state of Lua may have made it
		return v
	case glua.LValue:
		return v
	case exact:
		w.budget.grown(len(v))
		return w.exactNumber(string(v))
	}
	return glua.LNil
}

// nextState is next for the state's table.
func (w *worker) nextState(L *glua.LState, key glua.LValue) int {
	i := 0
	if key != glua.LNil {
		name, _ := key.(glua.LString)
		place, ok := w.state.places[string(name)]
		if !ok {
			L.RaiseError("next: state has no %s", short(key))
		}
		i = place + 1
	}
	for from := i; i < len(w.state.entries); i++ {
		e := &w.state.entries[i]
		if e.value == nil {
			continue
		}
		w.step(L, (i-from)>>4)
		L.Push(glua.LString(e.name))
		L.Push(w.stateLua(e.value))
		return 2
	}
	L.Push(glua.LNil)
	return 1
}
