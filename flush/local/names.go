package local

import (
	"strings"
	"sync"
)

// fieldNames is the set of names that a part indexes, at most MaxPartFields: a segment of the index
// cannot hold more than 65,535, and each costs memory. Safe for concurrent use.
type fieldNames struct {
	mu    sync.RWMutex
	names map[string]string
}

// newFieldNames returns the set that holds the names of existing fields.
func newFieldNames(existing []string) *fieldNames {
	n := &fieldNames{names: make(map[string]string, len(existing))}
	for _, name := range existing {
		if !reserved(name) {
			n.names[name] = name
		}
	}
	return n
}

func reserved(name string) bool {
	switch name {
	case fieldID, fieldAll, fieldIndex, fieldStream, fieldReceived, fieldOrder, fieldSource, aliasReceived:
		return true
	}
	return false
}

// intern returns the name that path spells; false when it may not be indexed by name.
func (n *fieldNames) intern(path []byte) (string, bool) {
	n.mu.RLock()
	name, ok := n.names[string(path)]
	n.mu.RUnlock()
	if ok {
		return name, true
	}
	if reserved(string(path)) {
		return "", false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok = n.names[string(path)]; ok {
		return name, true
	}
	if len(n.names) >= MaxPartFields {
		return "", false
	}
	name = strings.Clone(string(path))
	n.names[name] = name
	return name, true
}
