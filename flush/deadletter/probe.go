package deadletter

import (
	"context"
	"fmt"
	"slices"

	"github.com/weirlog/weir/flush"
)

// Probe asks a destination what would become of documents, for one dry run. Not for concurrent use.
type Probe interface {
	// Try returns what would become of each document, in their order. Nothing of them can be found by anybody afterwards. An error
	// means that the destination cannot be asked, and says why; asking about other documents may still work.
	Try(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error)
	// Close takes away whatever Try has made at the destination, within a time limit of its own: also when the dry run was cut off.
	// It returns what was done and what was not looked at, for people. Called once.
	Close() (notes []string)
}

// maxNotes bounds Summary.Notes.
const maxNotes = 20

// foresee asks the destination about the letters of a dry run that are ready, as far as the sample goes, and tells of all.
func (p *replay) foresee(ctx context.Context, items []*item) error {
	var sinks []flush.Sink
	bySink := map[flush.Sink][]sending{}
	for _, it := range items {
		if it.result != ResultReady || it.stream.NewProbe == nil || p.req.Sample >= 0 && p.asked >= p.req.Sample {
			continue
		}
		p.asked++
		sink := it.stream.Sink
		if bySink[sink] == nil {
			sinks = append(sinks, sink)
		}
		for d := range it.docs {
			bySink[sink] = append(bySink[sink], sending{it, d})
		}
	}
	for _, sink := range sinks {
		err := inRequests(bySink[sink], func(docs []sending) error { return p.try(ctx, sink, docs) })
		if err != nil {
			return err
		}
	}
	for _, it := range items {
		p.tellVerdict(it)
	}
	return nil
}

// try asks about documents of one sink. When it cannot be asked, their letters stay ready, and a note says why. An error means that
// ctx ended.
func (p *replay) try(ctx context.Context, sink flush.Sink, docs []sending) error {
	probe := p.probes[sink]
	if probe == nil {
		probe = docs[0].it.stream.NewProbe()
		if p.probes == nil {
			p.probes = map[flush.Sink]Probe{}
		}
		p.probes[sink] = probe
	}
	request := make([]flush.Document, len(docs))
	for i := range docs {
		request[i] = *docs[i].document()
	}
	outcomes, err := probe.Try(ctx, request)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && len(outcomes) != len(docs) {
		err = fmt.Errorf("%d answers for %d documents", len(outcomes), len(docs))
	}
	if err != nil {
		p.note(fmt.Sprintf("%s was not asked, only the transform was checked: %v", sink.Name(), err))
		return nil
	}
	for i := range docs {
		p.foreseen(docs[i], &outcomes[i])
	}
	return nil
}

// foreseen takes what the destination would say of one document. What it cannot say now, it may say later.
func (p *replay) foreseen(d sending, o *flush.Outcome) {
	it := d.it
	o.Judge(it.stream.FailureStore, d.document().Index)
	switch {
	case o.Verdict == flush.Retry:
		it.unsure = true
	case o.Verdict != flush.Delivered && o.Verdict != flush.Duplicate:
		it.refused(d.document(), o)
	}
	if it.open--; it.open > 0 {
		return
	}
	switch {
	case it.cause.Type != "":
		it.result = ResultRefused
	case !it.unsure:
		it.result = ResultAccepted
	}
}

// closeProbes takes away what was made at destinations.
func (p *replay) closeProbes() {
	for _, probe := range p.probes {
		for _, n := range probe.Close() {
			p.note(n)
		}
	}
}

func (p *replay) note(text string) {
	if len(p.summary.Notes) < maxNotes && !slices.Contains(p.summary.Notes, text) {
		p.summary.Notes = append(p.summary.Notes, text)
	}
}
