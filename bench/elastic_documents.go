package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/weirlog/weir/bench/load"
)

// The events are posted to weir in requests of this shape.
const (
	elasticConnections = 16
	elasticEvents      = 100 // of a request
	elasticEventBytes  = 320
)

// fullRequests returns the least number of documents, not less than n, that every connection posts an equal share of.
func fullRequests(n int) int {
	const step = elasticConnections * elasticEvents
	return (n + step - 1) / step * step
}

// elasticRequests are the requests that are posted to weir, in turn.
func elasticRequests(host string) []load.Request {
	return load.Make(host, load.Shape{Path: "/ingest", Events: elasticEvents, EventBytes: elasticEventBytes, Variants: variants, Seed: 1})
}

// makeDocuments returns the n documents that weir makes of the events of requests, byte for byte: what the other
// loaders have to send, ready-made. Many share their bytes.
func makeDocuments(requests []load.Request, n int) [][]byte {
	var distinct [][]byte
	for i := range requests {
		for event := range bytes.Lines(requests[i].Body()) {
			distinct = append(distinct, withTimestamp(bytes.TrimSuffix(event, []byte{'\n'})))
		}
	}
	docs := make([][]byte, n)
	for i := range docs {
		docs[i] = distinct[i%len(distinct)]
	}
	return docs
}

// withTimestamp returns an event with its datetime as @timestamp at its end, as weir completes a document by default.
func withTimestamp(event []byte) []byte {
	_, after, _ := bytes.Cut(event, []byte(`"datetime":`))
	value, _, _ := bytes.Cut(after, []byte{','})
	return fmt.Appendf(nil, `%s,"@timestamp":%s}`, event[:len(event)-1], value)
}

// idMaker makes document ids in the form of weir's.
type idMaker struct{ epoch uint64 }

func newIDMaker() idMaker { return idMaker{epoch: rand.Uint64()} }

func (m idMaker) append(b []byte, i int) []byte {
	b = fmt.Appendf(b, "%016x-", m.epoch)
	return strconv.AppendInt(b, int64(i+1), 10)
}

// bulkBodies returns the requests of a plain loop: weir's action lines before the documents, size bytes in each or a
// document more.
func bulkBodies(docs [][]byte, index string, ids bool, size int) [][]byte {
	var bodies [][]byte
	maker := newIDMaker()
	b := make([]byte, 0, size+1024)
	for i, doc := range docs {
		b = append(b, `{"create":{"_index":"`...)
		b = append(b, index...)
		if ids {
			b = append(b, `","_id":"`...)
			b = maker.append(b, i)
		}
		b = append(b, "\"}}\n"...)
		b = append(b, doc...)
		b = append(b, '\n')
		if len(b) >= size || i == len(docs)-1 {
			bodies = append(bodies, b)
			b = make([]byte, 0, size+1024)
		}
	}
	return bodies
}
