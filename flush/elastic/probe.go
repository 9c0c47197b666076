package elastic

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/weirlog/weir/flush"
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

// ask makes a request whose answer, a mapping or documents, may be large. Whether the node is well is for deliveries to judge: a refusal
// here says something about what was asked.
func (p *Probe) ask(ctx context.Context, method, path string, query url.Values, body []byte) (int, []byte, error) {
	a, n, err := p.sink.exchange(ctx, method, path, query, body, probeAnswer)
	if err == nil {
		p.sink.answered(n, nil)
	}
	return a.status, a.body, err
}

// Close deletes what was made, also when the context of Try has ended, and says so.
func (p *Probe) Close() []string {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	deleted := 0
	for _, name := range p.scratch {
		status, body, err := p.ask(ctx, http.MethodDelete, "/"+name, nil, nil)
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
	if !slices.Contains(p.notes, text) {
		p.notes = append(p.notes, text)
	}
}

// refusal says what the cluster did not let be done.
func refusal(what string, status int, body []byte) error {
	typ, reason := errorOf(body)
	if typ == "" {
		return fmt.Errorf("%s: status %d", what, status)
	}
	return fmt.Errorf("%s: status %d %s: %s", what, status, typ, cutText(reason, maxReason))
}
