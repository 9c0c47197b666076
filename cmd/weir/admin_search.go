package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/weirlog/weir/flush/local"
)

// searchAnswer is GET /api/v1/search.
type searchAnswer struct {
	Total      uint64    `json:"total"`
	TookMillis float64   `json:"took_ms"`
	Truncated  bool      `json:"truncated,omitempty"` // hits are missing because they are too large together
	Hits       []hitView `json:"hits"`
}

type hitView struct {
	ID         string          `json:"id"`
	Index      string          `json:"index"`
	Stream     string          `json:"stream"`
	ReceivedAt time.Time       `json:"received_at"`
	Timestamp  time.Time       `json:"timestamp,omitzero"`
	Source     json.RawMessage `json:"source"`
}

// errNotEmbedded is the answer where there is nothing to search in.
var errNotEmbedded = apiErrorf(http.StatusConflict, "not_embedded",
	"events go to an Elasticsearch, not to the embedded destination: search there, for example in Kibana")

func (a *admin) getSearch(w http.ResponseWriter, r *http.Request) error {
	q, err := a.query(r, "q", "since", "until", "limit", "skip", "oldest_first")
	if err != nil {
		return err
	}
	if a.store == nil {
		return errNotEmbedded
	}
	search := local.Query{
		Text: q.text("q"), Since: q.when("since"), Until: q.when("until"),
		Limit: q.number("limit"), Skip: q.number("skip"), OldestFirst: q.flag("oldest_first"),
	}
	if q.err != nil {
		return q.err
	}
	res, err := a.store.Search(r.Context(), search)
	if err != nil {
		return err
	}
	answer := searchAnswer{Total: res.Total, TookMillis: float64(res.Took.Microseconds()) / 1000, Truncated: res.Truncated, Hits: []hitView{}}
	for _, h := range res.Hits {
		answer.Hits = append(answer.Hits, hitView{ID: h.ID, Index: h.Index, Stream: h.Stream, ReceivedAt: h.ReceivedAt, Timestamp: h.Timestamp, Source: h.Source})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
