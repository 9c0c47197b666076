package stdlib

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Cache keeps values that are dear to make, by the text they were made of. It is bounded: when it is full
// it begins anew, so that texts which are different every time cost their own making and nothing else.
// The zero Cache keeps nothing; see NewCache. It is safe for concurrent use, and finding takes no lock.
type Cache[V any] struct {
	entries, weight int

	mu    sync.Mutex // one change at a time
	known atomic.Pointer[contents[V]]
}

// contents never change once they are published.
type contents[V any] struct {
	values map[string]V
	weight int
}

// NewCache makes a cache for so many entries of so much weight altogether; what a weight is is up to the
// caller of Put.
func NewCache[V any](entries, weight int) *Cache[V] {
	c := &Cache[V]{entries: entries, weight: weight}
	c.known.Store(&contents[V]{})
	return c
}

// Get returns the value that was put under key.
func (c *Cache[V]) Get(key string) (V, bool) {
	v, ok := c.known.Load().values[key]
	return v, ok
}

// Put keeps a value under a copy of key: a part of a large text must not hold all of it.
func (c *Cache[V]) Put(key string, value V, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.known.Load()
	next := &contents[V]{values: map[string]V{}, weight: weight}
	if len(old.values) < c.entries && old.weight+weight <= c.weight {
		next.values, next.weight = maps.Clone(old.values), old.weight+weight
		if next.values == nil {
			next.values = map[string]V{}
		}
	}
	next.values[strings.Clone(key)] = value
	c.known.Store(next)
}

// Len is how many values there are.
func (c *Cache[V]) Len() int { return len(c.known.Load().values) }
