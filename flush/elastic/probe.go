package elastic

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// Probe asks a cluster what would become of documents, without storing them where anybody looks. It is a deadletter.Probe. Not for
// concurrent use.
//
//	server                              asked by                  what is not seen
//	Elasticsearch from 8.15 on          POST /_ingest/_simulate   documents that do not get on with each other; terms too long
//	others, and where that is refused   a scratch index           ingest pipelines; of a data stream that OpenSearch would make
//	                                                              only now, a missing @timestamp
//
// Which of the two is found out by asking about a document that no mapping takes: a server that lets it pass does not look at
// mappings. A scratch index has the mapping, analysis and limits of the target, or of the template that would make it, one shard and no
// replica; documents go there without a pipeline, because one might send them on to an index that people look at. It is deleted by
// Close.
type Probe struct {
	sink      *Sink
	simulates answerTo
	targets   map[string]*target
	scratch   []string // to be deleted
	notes     []string
}

// answerTo is what is known of a question: not asked, yes, no.
type answerTo int

const (
	unknown answerTo = iota
	yes
	no
)

// target is an index, alias or data stream that documents would go to.
type target struct {
	looked  bool
	exists  bool
	blocked *flush.Outcome  // for every document
	mapping json.RawMessage // nil for none
	keep    map[string]any  // settings that decide what is taken
	scratch string          // its scratch index; "" for none yet
	fault   error           // why there can be none
}

// Bounds of what a probe sends and reads.
const (
	probeDocuments = 500
	probeAnswer    = 64 << 20
	cleanupTime    = 15 * time.Second
	scratchPrefix  = "weir-scratch-"
)

// NewProbe begins asking. Nothing is sent before Try.
func (s *Sink) NewProbe() *Probe { return &Probe{sink: s, targets: map[string]*target{}} }

// Try returns what would become of each document. Its error says why the cluster cannot be asked about some of them.
func (p *Probe) Try(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	outcomes := make([]flush.Outcome, len(docs))
	groups := map[[2]string][]int{} // by index and pipeline
	var order [][2]string
	for i := range docs {
		k := [2]string{docs[i].Index, docs[i].Pipeline}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], i)
	}
	for _, k := range order {
		for rest := groups[k]; len(rest) > 0; {
			n := min(len(rest), probeDocuments)
			if err := p.group(ctx, k[0], k[1], docs, rest[:n], outcomes); err != nil {
				return nil, err
			}
			rest = rest[n:]
		}
	}
	return outcomes, nil
}

// group asks about documents of one index and one pipeline.
func (p *Probe) group(ctx context.Context, index, pipeline string, docs []flush.Document, at []int, outcomes []flush.Outcome) error {
	t := p.targets[index]
	if t == nil {
		t = &target{}
		p.targets[index] = t
	}
	if !t.looked {
		if err := p.look(ctx, index, t); err != nil {
			return err
		}
	}
	if t.blocked != nil {
		for _, i := range at {
			outcomes[i] = *t.blocked
		}
		return nil
	}
	if p.simulates != no {
		done, err := p.simulate(ctx, pipeline, docs, at, outcomes)
		if done || err != nil {
			return err
		}
	}
	return p.tryScratch(ctx, index, t, docs, at, outcomes)
}

// look reads what the index is like. Without the privilege to, only its blocks are not seen, and no scratch index can be made.
func (p *Probe) look(ctx context.Context, index string, t *target) error {
	status, body, err := p.sink.exchange(ctx, http.MethodGet, "/"+url.PathEscape(index), nil, nil)
	if err != nil {
		return err
	}
	t.looked = true
	switch status {
	case http.StatusOK:
		t.exists = true
		t.fault = t.read(body)
	case http.StatusNotFound:
		t.fault = p.lookAtTemplate(ctx, index, t)
	default:
		t.fault = refusal("read the mapping of "+index, status, body)
	}
	return ctx.Err()
}

// indexDescription is what GET /index and a simulated template say.
type indexDescription struct {
	Mappings json.RawMessage `json:"mappings"`
	Settings struct {
		Index map[string]any `json:"index"`
	} `json:"settings"`
}

// read takes the description of the index that documents go to: of a data stream or alias the newest one behind it.
func (t *target) read(body []byte) error {
	var all map[string]indexDescription
	if err := json.Unmarshal(body, &all); err != nil || len(all) == 0 {
		return errors.New("the mapping cannot be read: " + describe(body))
	}
	newest := ""
	for name := range all {
		newest = max(newest, name)
	}
	d := all[newest]
	t.take(&d)
	t.blocked = blockOf(newest, d.Settings.Index)
	return nil
}

func (t *target) take(d *indexDescription) {
	t.mapping, t.keep = d.Mappings, map[string]any{}
	for _, name := range []string{"mapping", "analysis", "similarity"} {
		if v, ok := d.Settings.Index[name]; ok {
			t.keep[name] = v
		}
	}
}

// blockOf is what every document would be answered because of the index's state; nil when nothing stands in the way.
func blockOf(index string, settings map[string]any) *flush.Outcome {
	if settings["verified_before_close"] == "true" {
		return &flush.Outcome{Verdict: flush.Blocked, Status: 400, Type: "index_closed_exception", Reason: "closed"}
	}
	blocks, _ := settings["blocks"].(map[string]any)
	for _, block := range []string{"read_only", "write", "read_only_allow_delete"} {
		if v, ok := blocks[block]; ok && fmt.Sprint(v) == "true" {
			return &flush.Outcome{Verdict: flush.Blocked, Status: 403, Type: "cluster_block_exception", Reason: fmt.Sprintf("index [%s] has index.blocks.%s set", index, block)}
		}
	}
	return nil
}

// lookAtTemplate describes an index that is not there yet.
func (p *Probe) lookAtTemplate(ctx context.Context, index string, t *target) error {
	status, body, err := p.sink.exchange(ctx, http.MethodPost, "/_index_template/_simulate_index/"+url.PathEscape(index), nil, nil)
	if err != nil {
		return err
	}
	var answer struct {
		Template indexDescription `json:"template"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return refusal("read the template of "+index, status, body)
	}
	t.take(&answer.Template)
	return nil
}

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
	status, answer, err := p.sink.exchange(ctx, http.MethodPost, "/_ingest/_simulate", query, body.Bytes())
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
	var failed *flush.RequestError
	if err == nil || !errors.As(err, &failed) || !failed.Split() {
		return got, err
	}
	if len(docs) == 1 {
		return []flush.Outcome{{Verdict: flush.Permanent, Status: failed.Status, Type: failed.Type, Reason: cutText(failed.Error(), maxReason)}}, nil
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
	status, answer, err := p.sink.exchange(ctx, http.MethodPut, "/"+name, nil, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return refusal("make a scratch index", status, answer)
	}
	t.scratch = name
	return nil
}

// Close deletes what was made, also when the context of Try has ended, and says so.
func (p *Probe) Close() []string {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	deleted := 0
	for _, name := range p.scratch {
		status, body, err := p.sink.exchange(ctx, http.MethodDelete, "/"+name, nil, nil)
		switch {
		case err == nil && status == http.StatusOK:
			deleted++
		case err == nil && status == http.StatusNotFound: // it was never made
		case err == nil:
			p.note(fmt.Sprintf("the scratch index %s is still there, delete it: %v", name, refusal("delete it", status, body)))
		default:
			p.note(fmt.Sprintf("the scratch index %s may still be there, delete it: %v", name, err))
		}
	}
	if p.simulates == yes {
		p.note("asked by _ingest/_simulate, which stores nothing; it does not see letters that do not get on with each other")
	}
	if deleted > 0 {
		p.note(fmt.Sprintf("asked by %s, with the mapping of the target, now deleted", plural(deleted, "a scratch index", "scratch indices")))
	}
	p.scratch = nil
	return p.notes
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (p *Probe) note(text string) {
	for _, n := range p.notes {
		if n == text {
			return
		}
	}
	p.notes = append(p.notes, text)
}

// refusal says what the cluster did not let be done.
func refusal(what string, status int, body []byte) error {
	typ, reason := errorOf(body)
	if typ == "" {
		return fmt.Errorf("%s: status %d", what, status)
	}
	return fmt.Errorf("%s: status %d %s: %s", what, status, typ, cutText(reason, maxReason))
}

// exchange is call for bodies and answers of any size: mappings and documents are large. query may be nil.
func (s *Sink) exchange(ctx context.Context, method, path string, query url.Values, body []byte) (int, []byte, error) {
	r := request{method: method, path: path, query: query, text: body, header: http.Header{"Accept": {"application/json"}}}
	if body != nil {
		r.header["Content-Type"] = []string{"application/json"}
	}
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, n, f := s.do(ctx, requestCtx, r)
	if f != nil {
		return 0, nil, s.advise(f.RequestError)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, probeAnswer))
	if err != nil {
		return 0, nil, s.connectionError(ctx, err)
	}
	// Whether the node is well is for deliveries to judge: a refusal here says something about what was asked.
	s.answered(n, nil)
	return res.StatusCode, answer, nil
}

// scratchName is one that nobody has.
func scratchName() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name scratch index: %w", err)
	}
	return scratchPrefix + hex.EncodeToString(b[:]), nil
}
