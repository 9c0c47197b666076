package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// canary is a document that no mapping takes.
var canary = []byte(`{"":0}`)

// simulate asks POST /_ingest/_simulate, canary first. Done is false when this server cannot be asked so.
func (p *Probe) simulate(ctx context.Context, pipeline string, docs []flush.Document, at []int, outcomes []flush.Outcome) (done bool, err error) {
	var body bytes.Buffer
	body.WriteString(`{"docs":[`)
	appendSimulated(&body, docs[at[0]].Index, "weir-canary", canary)
	for _, i := range at {
		body.WriteByte(',')
		id := docs[i].ID
		if id == "" {
			id = "weir-none"
		}
		appendSimulated(&body, docs[i].Index, id, docs[i].Source)
	}
	body.WriteString(`]}`)
	var query url.Values
	if pipeline != "" {
		query = url.Values{"pipeline": {pipeline}}
	}
	status, answer, err := p.ask(ctx, http.MethodPost, "/_ingest/_simulate", query, body.Bytes())
	if err != nil {
		return false, err
	}
	results, err := readSimulated(status, answer, len(at)+1)
	if err != nil || p.simulates == unknown && results[0].Error == nil {
		p.simulates = no
		return false, ctx.Err()
	}
	p.simulates = yes
	for n, i := range at {
		outcomes[i] = results[n+1].outcome()
	}
	return true, nil
}

func appendSimulated(b *bytes.Buffer, index, id string, source []byte) {
	b.WriteString(`{"_index":`)
	b.Write(rawjson.AppendQuoted(nil, index))
	b.WriteString(`,"_id":`)
	b.Write(rawjson.AppendQuoted(nil, id))
	b.WriteString(`,"_source":`)
	b.Write(source)
	b.WriteByte('}')
}

// simulated is one document of an answer.
type simulated struct {
	Error *struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"error"`
}

func readSimulated(status int, body []byte, want int) ([]simulated, error) {
	var answer struct {
		Docs []struct {
			Doc *simulated `json:"doc"`
		} `json:"docs"`
	}
	if status != http.StatusOK {
		return nil, refusal("simulate", status, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Docs) != want {
		return nil, fmt.Errorf("%d answers for %d documents: %s", len(answer.Docs), want, describe(body))
	}
	results := make([]simulated, want)
	for i, d := range answer.Docs {
		if d.Doc != nil { // else a pipeline drops it on purpose
			results[i] = *d.Doc
		}
	}
	return results, nil
}

func (r *simulated) outcome() flush.Outcome {
	if r.Error == nil {
		return flush.Outcome{Verdict: flush.Delivered, Status: http.StatusCreated}
	}
	o := flush.Outcome{Status: http.StatusBadRequest, Type: cutText(r.Error.Type, maxType), Reason: cutText(r.Error.Reason, maxReason)}
	o.Verdict = flush.Classify(o.Status, o.Type, o.Reason)
	return o
}
