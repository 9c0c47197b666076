package lua

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
)

const (
	arenaBytes = 64 << 10
	docsChunk  = 64
	// docsBytes is how much the documents of one chunk may hold: as long as one of them is in use, or the chunk has
	// room, all of them stay.
	docsBytes = 256 << 10
)

// results encodes what transform has left on the stack, nil among several results left out, and puts what it
// emitted behind.
func (w *worker) results() ([]flush.Document, error) {
	n := w.L.GetTop()
	returned := 0
	for i := 1; i <= n; i++ {
		if w.L.Get(i) != glua.LNil {
			returned++
		}
	}
	if returned+len(w.emitted) == 0 {
		return nil, nil
	}
	if !w.budget.take(w.meta.sizeOfIDs(returned + len(w.emitted))) {
		return nil, errOverrun
	}
	docs := w.takeDocs(returned + len(w.emitted))
	made := 0
	for i := 1; i <= n; i++ {
		v := w.L.Get(i)
		if v == glua.LNil {
			continue
		}
		source, err := w.document(v)
		if err != nil {
			if returned > 1 {
				err = within(err, fmt.Sprintf("[%d]", i))
			}
			clear(docs)
			return nil, err
		}
		docs[made].Source = source
		w.meta.apply(&docs[made], settings{}, made)
		made++
	}
	for _, e := range w.emitted {
		docs[made].Source = e.source
		w.meta.apply(&docs[made], e.own, made)
		made++
	}
	w.pin(docs)
	return docs, nil
}

// document encodes one result.
func (w *worker) document(v glua.LValue) ([]byte, error) {
	t, ok := v.(*glua.LTable)
	if !ok {
		return nil, fault("a table or nil is wanted, not a %s", kindOf(v, w))
	}
	w.pass++
	if n := w.nodeOf(t); n != nil && !n.list && w.untouched(n) {
		// The first time it costs nothing; the same one again makes the output larger than the event.
		if n.given && !w.budget.take(len(n.raw)) {
			return nil, errOverrun
		}
		n.given = true
		return n.raw, nil
	}
	var err error
	if w.encoded, err = w.encode(w.encoded[:0], t, 1); err != nil {
		return nil, err
	}
	if !w.budget.take(len(w.encoded)) {
		return nil, errOverrun
	}
	if w.encoded[0] != '{' {
		return nil, fault("a document must be an object, not a list; return a, b for several documents")
	}
	return w.hold(w.encoded), nil
}

// hold copies a document into the arena, where it stays as long as somebody refers to it.
func (w *worker) hold(doc []byte) []byte {
	if len(doc) > arenaBytes/4 {
		return append([]byte(nil), doc...)
	}
	if cap(w.arena)-len(w.arena) < len(doc) {
		w.arena = make([]byte, 0, arenaBytes)
	}
	from := len(w.arena)
	w.arena = append(w.arena, doc...)
	return w.arena[from:len(w.arena):len(w.arena)]
}

func (w *worker) takeDocs(n int) []flush.Document {
	if len(w.docs) < n {
		w.docs, w.pinned = make([]flush.Document, max(n, docsChunk)), 0
	}
	docs := w.docs[:n:n]
	w.docs = w.docs[n:]
	return docs
}

// pin counts what documents hold, and gives up the chunk that they are of once that is much.
func (w *worker) pin(docs []flush.Document) {
	for i := range docs {
		w.pinned += len(docs[i].Source)
	}
	if w.pinned > docsBytes {
		w.docs = nil
	}
}
