package elastic

import (
	"net/http"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// reorder puts the outcomes where their ids belong.
//
// Elasticsearch before 8.12.1 and OpenSearch (2.19 at least) give the items of documents that an ingest
// pipeline failed or dropped in any order among one another, so that a failed document's position may
// hold the success of a dropped one. Three kinds of items are told apart:
//
//	id of exactly one document     that document's outcome
//	id of several documents        theirs when all items of that id agree; else those documents are retried
//	id of none                     a pipeline chose another id: see assignStrangers
//
// What nothing was said about stays Retry.
func (r *answerReader) reorder() {
	given := r.outcomes
	r.outcomes = make([]flush.Outcome, len(r.docs))
	byID := make(map[string][]int, len(r.docs))
	for i := range r.docs {
		id := sentID(r.docs[i].ID)
		byID[id] = append(byID[id], i)
	}
	items := make(map[string][]int, len(given))
	var strangers []int
	for i := range given {
		id := r.itemID(i)
		if _, known := byID[id]; known {
			items[id] = append(items[id], i)
		} else {
			strangers = append(strangers, i)
		}
	}
	named := make([]bool, len(r.docs))
	for id, positions := range items {
		r.assign(given, byID[id], positions, named)
	}
	r.assignStrangers(given, strangers, named)
}

// itemID returns the id that item i gave.
func (r *answerReader) itemID(i int) string {
	if r.ids[i] == nil { // the quick path: it was the document's own, or there was none to compare
		return sentID(r.docs[i].ID)
	}
	return string(rawjson.AppendUnquoted(nil, r.ids[i]))
}

// assign gives the outcomes of the items at positions to the documents docs, all of one id.
func (r *answerReader) assign(given []flush.Outcome, docs, positions []int, named []bool) {
	for _, d := range docs {
		named[d] = true
	}
	if len(positions) != len(docs) || !agree(given, positions) {
		return
	}
	for n, d := range docs {
		r.outcomes[d] = given[positions[n]]
	}
}

// assignStrangers gives the outcomes of items with an id that nobody sent to the documents at their positions.
// Created items stand in their places on every server; the others may be permuted, which does not matter
// when they say the same.
func (r *answerReader) assignStrangers(given []flush.Outcome, strangers []int, named []bool) {
	var others []int
	for _, i := range strangers {
		switch {
		case named[i]:
		case given[i].Status == http.StatusCreated:
			r.outcomes[i] = given[i]
		default:
			others = append(others, i)
		}
	}
	if !agree(given, others) {
		return
	}
	for _, i := range others {
		r.outcomes[i] = given[i]
	}
}

// doubt looks after documents that were sent without an id, of which only positions tell. Where a server permutes the items of
// documents that an ingest pipeline failed and dropped, a success of status 200, as only a dropped one has, may stand at the place
// of a failure. Neither was stored. When there are both, the dropped ones fail with the others: a dead letter too many can be
// dropped by hand, a failure called delivered would be lost.
func (r *answerReader) doubt() {
	var dropped []int
	var failure *flush.Outcome
	for i := range r.docs {
		switch o := &r.outcomes[i]; {
		case r.docs[i].ID != "" || o.Status == http.StatusCreated:
		case o.Verdict == flush.Delivered:
			dropped = append(dropped, i)
		case failure == nil || o.Verdict == flush.Permanent:
			failure = o
		}
	}
	if failure == nil {
		return
	}
	for _, i := range dropped {
		r.outcomes[i] = flush.Outcome{Verdict: failure.Verdict, Status: failure.Status, Type: failure.Type,
			Reason: cutText("an ingest pipeline dropped this document, or failed it; this server does not say which: "+failure.Reason, maxReason)}
	}
}

// agree reports whether the items at positions all end their documents' way alike.
func agree(given []flush.Outcome, positions []int) bool {
	for _, i := range positions {
		first, v := given[positions[0]].Verdict, given[i].Verdict
		if v != first && !(stored(v) && stored(first)) {
			return false
		}
	}
	return true
}

func stored(v flush.Verdict) bool { return v == flush.Delivered || v == flush.Duplicate }
