package lua

import (
	"log/slog"
	"maps"
	"slices"
	"sync"

	glua "github.com/yuin/gopher-lua"
)

const (
	transformName = "transform"
	emitName      = "emit"
	globalsName   = "_G"
	stringName    = "string"
)

// inventory is what a script finds without defining it. It is read out of the sandbox itself, so that a
// library that is added there is known here.
type inventory struct {
	// globals are all names; the value holds the members of a library, and is nil for what is none.
	globals map[string]map[string]bool
	sorted  []string
}

var sandboxNames = sync.OnceValues(func() (*inventory, error) {
	s, err := Compile("inventory", []byte("function transform() end"), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	known := &inventory{globals: map[string]map[string]bool{}}
	s.w.base.ForEach(func(k, v glua.LValue) {
		if name, ok := k.(glua.LString); ok && name != transformName {
			known.globals[string(name)] = libraryMembers(string(name), v)
		}
	})
	known.sorted = slices.Sorted(maps.Keys(known.globals))
	return known, nil
})

// libraryMembers lists the names behind the front of a library; see worker.library.
func libraryMembers(name string, v glua.LValue) map[string]bool {
	front, ok := v.(*glua.LTable)
	if !ok || name == globalsName {
		return nil
	}
	mt, ok := front.Metatable.(*glua.LTable)
	if !ok {
		return nil
	}
	behind, ok := mt.RawGetString("__index").(*glua.LTable)
	if !ok {
		return nil
	}
	members := map[string]bool{}
	behind.ForEach(func(k, _ glua.LValue) { members[k.String()] = true })
	return members
}

func (known *inventory) has(name string) bool {
	_, ok := known.globals[name]
	return ok
}

func (known *inventory) isLibrary(name string) bool { return known.globals[name] != nil }

func (known *inventory) members(library string) map[string]bool { return known.globals[library] }

// elsewhere is the library that has a member of this name, "" when none or several have.
func (known *inventory) elsewhere(member string) string {
	found := ""
	for _, name := range known.sorted {
		if known.globals[name][member] {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	return found
}

// anyHas reports whether a library has a member of this name, which a script may have copied into a table.
func (known *inventory) anyHas(member string) bool {
	for _, members := range known.globals {
		if members[member] {
			return true
		}
	}
	return false
}
