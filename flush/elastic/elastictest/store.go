package elastictest

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// Doc is a stored document.
type Doc struct {
	Index, ID         string
	Pipeline, Routing string
	Source            []byte // as it came; nil with KeepIDs
	Created           int    // creates that succeeded; index actions count as well
	Conflicts         int    // creates that were 409
	Differed          int    // of these, with another source than the one stored; not counted with KeepIDs
	Attempts          int    // times that it came, failures included
}

const shards = 64

// store keeps documents by index and id.
type store struct {
	keep   Keep
	seed   maphash.Seed
	shards [shards]shard
}

type key struct{ index, id string }

type shard struct {
	mu   sync.Mutex
	docs map[key]*Doc // also those that only failed so far, for their attempts
}

func newStore(keep Keep) *store {
	s := &store{keep: keep, seed: maphash.MakeSeed()}
	s.reset()
	return s
}

func (s *store) reset() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.docs = make(map[key]*Doc)
		sh.mu.Unlock()
	}
}

func (s *store) shard(id string) *shard {
	return &s.shards[maphash.String(s.seed, id)%shards]
}

// attempt counts that an id came and returns how often it did.
func (s *store) attempt(it *Item) int {
	if s.keep == KeepNothing {
		return 0
	}
	sh := s.shard(it.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.entryLocked(it)
	d.Attempts++
	return d.Attempts
}

// entryLocked returns the document of an item, made when it is not there.
func (sh *shard) entryLocked(it *Item) *Doc {
	d := sh.docs[key{it.Index, it.ID}]
	if d == nil {
		// Clones, because the item shares memory with its request.
		d = &Doc{Index: strings.Clone(it.Index), ID: strings.Clone(it.ID)}
		sh.docs[key{d.Index, d.ID}] = d
	}
	return d
}

// put stores the item and reports whether that was a create that succeeded; false means conflict.
func (s *store) put(it *Item) bool {
	if s.keep == KeepNothing {
		return true
	}
	sh := s.shard(it.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.entryLocked(it)
	if d.Created > 0 && it.Op == "create" {
		d.Conflicts++
		if s.keep == KeepDocuments && !bytes.Equal(d.Source, it.Source) {
			d.Differed++
		}
		return false
	}
	d.Created++
	d.Pipeline, d.Routing = strings.Clone(it.Pipeline), strings.Clone(it.Routing)
	if s.keep == KeepDocuments {
		d.Source = slices.Clone(it.Source)
	}
	return true
}

// restore puts documents as they are.
func (s *store) restore(docs []Doc) {
	for _, d := range docs {
		sh := s.shard(d.ID)
		sh.mu.Lock()
		sh.docs[key{d.Index, d.ID}] = &d
		sh.mu.Unlock()
	}
}

func (s *store) get(index, id string) (Doc, bool) {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.docs[key{index, id}]
	if d == nil || d.Created == 0 {
		return Doc{}, false
	}
	return *d, true
}

func (s *store) len() int {
	n := 0
	s.each(func(*Doc) { n++ })
	return n
}

func (s *store) all() []Doc {
	var docs []Doc
	s.each(func(d *Doc) { docs = append(docs, *d) })
	slices.SortFunc(docs, func(a, b Doc) int {
		return cmp.Or(strings.Compare(a.Index, b.Index), strings.Compare(a.ID, b.ID))
	})
	return docs
}

func (s *store) each(f func(*Doc)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, d := range sh.docs {
			if d.Created > 0 {
				f(d)
			}
		}
		sh.mu.Unlock()
	}
}
