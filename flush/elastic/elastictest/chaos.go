package elastictest

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
)

// chance gives the request its own source of randomness, so that requests at the same time do not change one
// another's fate.
func (w *work) chance(c *Chaos, number int) {
	w.rand = rand.New(rand.NewPCG(c.Seed, uint64(number)))
}

// spoil adds the faults that chance has for a request.
func (c *Chaos) spoil(f *Fault, rnd *rand.Rand) {
	hits := func(rate float64) bool { return rnd.Float64() < rate }
	switch {
	case hits(c.Busy):
		f.Status, f.RetryAfter = 429, "0"
		f.Body = `{"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"},"status":429}`
	case hits(c.Unavailable):
		f.Status, f.ContentType, f.Body = 503, "text/html", "<html><title>503 Service Unavailable</title></html>"
	case hits(c.CutBefore):
		f.CutBefore, f.Reset = true, hits(0.5)
	case hits(c.CutAfter):
		f.CutAfter, f.Reset = true, hits(0.5)
	case hits(c.CutAnswer):
		f.CutAnswer = true
	case hits(c.Garbage):
		f.Mangle = func([]byte) []byte { return []byte("<!DOCTYPE html><title>Sign in</title>") }
	case hits(c.BrokenJSON):
		f.Mangle = func(b []byte) []byte { return b[:len(b)-1-rnd.IntN(min(len(b)-1, 100))] }
	case hits(c.ItemMissing):
		f.Mangle = dropFirstItem
	}
}

// dropFirstItem takes the first entry out of an answer; the answer stays well-formed.
func dropFirstItem(b []byte) []byte {
	from := bytes.Index(b, []byte(`"items":[`)) + len(`"items":[`)
	next := bytes.Index(b[from:], []byte(`,{"`))
	if next < 0 {
		return append(b[:from:from], "]}"...)
	}
	return append(b[:from:from], b[from+next+1:]...)
}

// item returns the fault that chance has for one item.
func (c *Chaos) item(it *Item, rnd *rand.Rand) Answer {
	if c.ItemMalformed > 0 && c.fate(it.ID) < c.ItemMalformed {
		return Answer{Status: 400, Type: "document_parsing_exception",
			Reason: "[1:6] failed to parse field [n] of type [long] in document with id '" + it.ID + "'"}
	}
	if rnd.Float64() < c.ItemRejected {
		return Answer{Status: 429, Type: "es_rejected_execution_exception", Reason: "rejected execution of primary operation"}
	}
	if rnd.Float64() < c.ItemUnavailable {
		return Answer{Status: 503, Type: "unavailable_shards_exception", Reason: "primary shard is not active"}
	}
	return Answer{}
}

// fate is a number between 0 and 1 that belongs to an id.
func (c *Chaos) fate(id string) float64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return rand.New(rand.NewPCG(c.Seed, h.Sum64())).Float64() // the hash alone differs too little between neighbours
}
