package elastic

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/weirlog/weir/flush"
)

// tryScratch stores the documents in a scratch index, as delivery would.
func (p *Probe) tryScratch(ctx context.Context, index string, t *target, docs []flush.Document, at []int, outcomes []flush.Outcome) error {
	if t.fault == nil && t.scratch == "" {
		t.fault = p.makeScratch(ctx, t)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.fault != nil {
		return t.fault
	}
	request := make([]flush.Document, len(at))
	for n, i := range at {
		d := docs[i]
		if d.Pipeline != "" {
			p.note("ingest pipelines were not run: a scratch index was asked")
		}
		d.Index, d.Pipeline = t.scratch, "_none"
		request[n] = d
	}
	got, err := p.send(ctx, request)
	if err != nil {
		return err
	}
	for n, i := range at {
		outcomes[i] = got[n]
		outcomes[i].Reason = strings.ReplaceAll(got[n].Reason, t.scratch, index)
	}
	return nil
}

// send is Sink.Send, which halves what is too large.
func (p *Probe) send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	got, err := p.sink.send(ctx, docs, false) // a scratch index is no data stream
	failed, _ := errors.AsType[*flush.RequestError](err)
	if !failed.Split() {
		return got, err
	}
	if len(docs) == 1 {
		refused := failed.Refusal()
		refused.Reason = cutText(refused.Reason, maxReason)
		return []flush.Outcome{refused}, nil
	}
	first, err := p.send(ctx, docs[:len(docs)/2])
	if err != nil {
		return nil, err
	}
	second, err := p.send(ctx, docs[len(docs)/2:])
	return append(first, second...), err
}

// makeScratch makes the target's scratch index. It is noted for deletion before it is asked for: an answer may be lost.
func (p *Probe) makeScratch(ctx context.Context, t *target) error {
	name, err := scratchName()
	if err != nil {
		return err
	}
	// Templates must not lead its documents, which are real ones, through a pipeline into another index.
	settings := map[string]any{"number_of_shards": 1, "number_of_replicas": 0, "hidden": true, "default_pipeline": "_none", "final_pipeline": "_none"}
	for k, v := range t.keep {
		settings[k] = v
	}
	description := map[string]any{"settings": map[string]any{"index": settings}}
	if len(t.mapping) > 0 {
		description["mappings"] = t.mapping
	}
	body, err := json.Marshal(description)
	if err != nil {
		return fmt.Errorf("describe scratch index: %w", err)
	}
	p.scratch = append(p.scratch, name)
	status, answer, err := p.ask(ctx, http.MethodPut, "/"+name, nil, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return refusal("make a scratch index", status, answer)
	}
	t.scratch = name
	return nil
}

// scratchName is one that nobody has.
func scratchName() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name scratch index: %w", err)
	}
	return scratchPrefix + hex.EncodeToString(b[:]), nil
}
