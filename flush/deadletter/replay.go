package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Stream is how the letters of one stream are delivered: as its events are.
type Stream struct {
	// Transformer in force; nil: events pass as they are.
	Transformer flush.Transformer
	// Prepare fills in what the transformer left open: key, index, id, timestamp. A *flush.TransformError makes the letter
	// fail. The record has the letter's key, receive time and event.
	Prepare func(rec *wal.Record, docs []flush.Document) error
	// Sink the stream is delivered to.
	Sink flush.Sink
	// NewProbe begins asking the sink what it would make of documents; nil: it cannot be asked. See Probe.
	NewProbe func() Probe
	// Op of the stream's documents, for those that are sent as they were; "" is flush.OpCreate.
	Op flush.Op
	// FailureStore says what a document counts as that a data stream's failure store took; "" is flush.FailureStoreAccept.
	FailureStore flush.FailureStorePolicy
}

// Replayer feeds letters of a store back through delivery. Fields without a stated default are required.
type Replayer struct {
	Store   *Store
	Streams map[string]Stream
	// Validate checks events of stage ingest, and edited ones, as the endpoint would.
	Validate func(event []byte) error
	// RetryMin and RetryMax bound the pauses, which double and are jittered, before what may be stored later is sent again.
	// Defaults 100ms and 30s.
	RetryMin, RetryMax time.Duration

	sleep func(ctx context.Context, d time.Duration) error // tests replace it
}

// Request says which letters to replay and how.
type Request struct {
	Filter Filter
	Keys   []flush.Key // only these, and no filter
	// AsSent sends letters of stage index as the stored document instead of what the script makes now.
	AsSent bool
	// AsNew sends all documents of a letter of stage index, under new ids, when the script now makes another number of them.
	AsNew bool
	// Patch is a script for this replay alone; nil for none. See patch.go for when it runs.
	Patch flush.Transformer
	// DryRun validates, transforms, and asks the destination where it can be asked (Stream.NewProbe). It records nothing, and
	// nothing that it sends stays.
	DryRun bool
	// Sample is how many letters, the first ones, a dry run asks the destination about; 0: none, -1: all.
	Sample int
	// Rate is letters a second; 0: as fast as they go.
	Rate float64
}

// Result is what became of a letter in a replay.
type Result string

// The results.
const (
	ResultDelivered Result = "delivered" // settled: all its documents are at the destination
	ResultDropped   Result = "dropped"   // settled: the script drops it
	ResultFailed    Result = "failed"    // stays, with one more attempt and its new cause
	ResultSkipped   Result = "skipped"   // stays as it was: there was nothing to try
	ResultReady     Result = "ready"     // dry run: would be sent; the destination was not asked
	ResultAccepted  Result = "accepted"  // dry run: would be delivered, the destination says
	ResultRefused   Result = "refused"   // dry run: would fail again, the destination says
	ResultWaiting   Result = "waiting"   // not a result yet: the destination is asked again after a pause
)

// Event tells about progress: a letter's result, or with ResultWaiting a pause.
type Event struct {
	Done, Total int // letters; Total is what was there at the start
	Key         flush.Key
	Result      Result
	Documents   int    // sent, or with ResultReady to be sent
	Type        string // why, unless delivered
	Reason      string
	Pause       time.Duration // with ResultWaiting
	Parked      bool          // with ResultWaiting: nothing changes until an operator acts
}

// Summary counts letters by result.
type Summary struct {
	Total      int `json:"total"`
	Delivered  int `json:"delivered"`
	Dropped    int `json:"dropped"`
	Failed     int `json:"failed"`
	Skipped    int `json:"skipped"`
	Ready      int `json:"ready,omitempty"`
	Accepted   int `json:"accepted,omitempty"` // dry run, like the next one
	Refused    int `json:"refused,omitempty"`
	Documents  int `json:"documents"`  // delivered now
	Duplicates int `json:"duplicates"` // delivered before, under the same id
	// FailureStore counts documents that a data stream refused and its failure store took.
	FailureStore int `json:"failure_store,omitempty"`
	// DroppedByPatch are those of Dropped that the patch dropped, and not the stream's script.
	DroppedByPatch int            `json:"dropped_by_patch,omitempty"`
	Causes         map[string]int `json:"causes"`          // letters that stay, by type
	Outcomes       []OutcomeCount `json:"outcomes"`        // all letters, by result and cause; the largest first
	Notes          []string       `json:"notes,omitempty"` // of a dry run: what was not looked at, what was made and taken away
}

// OutcomeCount counts letters of one result and cause.
type OutcomeCount struct {
	Result  Result    `json:"result"`
	Type    string    `json:"type,omitempty"`
	Field   string    `json:"field,omitempty"` // that the destination's reason names
	Count   int       `json:"count"`
	Example flush.Key `json:"example"`
}

// AddOutcomes adds counts of another replay, so that one that went over several stores has one list.
func (s *Summary) AddOutcomes(more []OutcomeCount) {
	for _, o := range more {
		same := func(c OutcomeCount) bool { return c.Result == o.Result && c.Type == o.Type && c.Field == o.Field }
		if i := slices.IndexFunc(s.Outcomes, same); i >= 0 {
			s.Outcomes[i].Count += o.Count
			continue
		}
		s.Outcomes = append(s.Outcomes, o)
	}
	slices.SortStableFunc(s.Outcomes, compareOutcomes)
}

func compareOutcomes(a, b OutcomeCount) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Field, b.Field))
}

// replayBatch is how many letters are read, sent and settled together.
const replayBatch = 500

// replay is one run of Replay.
type replay struct {
	*Replayer
	req      Request
	progress func(Event)
	limiter  *rate.Limiter
	batch    int
	done     int
	summary  Summary
	outcomes map[OutcomeCount]*OutcomeCount // by its own result, type and field
	reader   *letterReader
	asked    int                  // letters of a dry run that the destination is asked about
	probes   map[flush.Sink]Probe // of a dry run
}

// Replay replays the letters that the request chooses, in the order in which they were put, and returns when each is settled or
// has failed again. Letters put after it began are left alone. What may be stored later is sent again until ctx ends; then
// ctx's error is returned, and letters whose outcome is not known stay, to be sent under the same ids next time. progress may be
// nil; it is called from this goroutine. ErrReplayRunning while another replay of the store runs.
func (r *Replayer) Replay(ctx context.Context, req Request, progress func(Event)) (Summary, error) {
	if !r.Store.replaying.CompareAndSwap(false, true) {
		return Summary{}, ErrReplayRunning
	}
	defer r.Store.replaying.Store(false)
	if progress == nil {
		progress = func(Event) {}
	}
	p := &replay{outcomes: map[OutcomeCount]*OutcomeCount{}, Replayer: r, req: req, progress: progress, batch: replayBatch, reader: r.Store.newLetterReader()}
	defer p.reader.close()
	p.summary.Causes = map[string]int{}
	if req.Rate > 0 {
		// A tenth of a second's worth at a time: the limiter starts full, and a first burst of a second's worth would be felt.
		p.batch = max(1, min(replayBatch, int(req.Rate/10)))
		p.limiter = rate.NewLimiter(rate.Limit(req.Rate), p.batch)
	}
	var err error
	if len(req.Keys) > 0 {
		err = p.replayKeys(ctx)
	} else {
		err = p.replayFilter(ctx)
	}
	p.closeProbes()
	p.summary.Outcomes = sortedOutcomes(p.outcomes)
	if err != nil {
		return p.summary, fmt.Errorf("replay: %w", err)
	}
	return p.summary, nil
}

// sortedOutcomes lists the counts, the largest first.
func sortedOutcomes(counts map[OutcomeCount]*OutcomeCount) []OutcomeCount {
	list := make([]OutcomeCount, 0, len(counts))
	for _, c := range counts {
		list = append(list, *c)
	}
	slices.SortFunc(list, compareOutcomes)
	return list
}

func (p *replay) replayFilter(ctx context.Context) error {
	w := p.Store.newWalk(p.req.Filter)
	w.size = p.batch
	total, err := p.Store.Count(ctx, p.req.Filter)
	if err != nil {
		return err
	}
	p.summary.Total = total
	for !w.end { // page by page: what is edited or dropped before its turn goes as it is then
		found, err := p.Store.page(ctx, w, p.reader)
		if err != nil {
			return err
		}
		if err := p.letters(ctx, found); err != nil {
			return err
		}
	}
	return nil
}

func (p *replay) replayKeys(ctx context.Context) error {
	seen := make(map[flush.Key]bool, len(p.req.Keys))
	var keys []flush.Key
	for _, k := range p.req.Keys {
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	p.summary.Total = len(keys)
	for len(keys) > 0 {
		n := min(p.batch, len(keys))
		found, err := p.find(keys[:n])
		if err != nil {
			return err
		}
		if err := p.letters(ctx, found); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// find reads letters by key. Keys of no live letter are told of as skipped.
func (p *replay) find(keys []flush.Key) ([]Found, error) {
	p.Store.pin.RLock()
	defer p.Store.pin.RUnlock()
	var entries []Entry
	for _, k := range keys {
		e, err := p.Store.entry(k)
		switch {
		case errors.Is(err, ErrUnknownKey):
			p.tell(&item{entry: Entry{Key: k}}, ResultSkipped, "unknown_key", ErrUnknownKey.Error())
		case err != nil:
			return nil, err
		default:
			entries = append(entries, e)
		}
	}
	return p.reader.readAll(entries)
}

// letters replays a batch: prepare each, send what is ready, settle what is delivered.
func (p *replay) letters(ctx context.Context, found []Found) error {
	if len(found) == 0 {
		return nil
	}
	if p.limiter != nil {
		if err := p.limiter.WaitN(ctx, len(found)); err != nil {
			return err
		}
	}
	items := make([]*item, len(found))
	for i := range found {
		items[i] = &item{entry: found[i].Entry, letter: found[i].Letter}
		if err := p.prepare(ctx, items[i], found[i].Err); err != nil {
			return err
		}
	}
	if p.req.DryRun {
		return p.foresee(ctx, items)
	}
	// What needs no sending is recorded first, so that a destination that is away does not keep it waiting.
	if err := p.record(ctx, items); err != nil {
		return err
	}
	return p.deliver(ctx, items)
}

// record makes durable what has become of the items that are done and not recorded yet.
func (p *replay) record(ctx context.Context, items []*item) error {
	// What the destination has said is worth keeping, even when ctx ends here.
	ctx = context.WithoutCancel(ctx)
	ended := map[Result][]Entry{}
	var attempts []Attempt
	var done []*item
	for _, it := range items {
		if it.result == "" || it.recorded {
			continue
		}
		done = append(done, it)
		switch it.result {
		case ResultDelivered, ResultDropped:
			ended[it.result] = append(ended[it.result], it.entry)
		case ResultFailed:
			attempts = append(attempts, it.cause)
		}
	}
	for _, result := range []Result{ResultDelivered, ResultDropped} {
		if err := p.Store.settleAsRead(ctx, ended[result], "replay: "+string(result)); err != nil {
			return err
		}
	}
	if err := p.Store.Attempted(ctx, attempts); err != nil {
		return err
	}
	for _, it := range done {
		it.recorded = true
		p.Store.opts.Metrics.addReplayed(p.Store.opts.Name, it.result)
		p.tellVerdict(it)
	}
	return nil
}

func (p *replay) tellVerdict(it *item) {
	if it.result == ResultDropped && it.patchDropped {
		p.summary.DroppedByPatch++
		it.cause.Reason = "dropped by the patch"
	}
	p.tell(it, it.result, it.cause.Type, it.cause.Reason)
}

// maxCauses bounds Summary.Causes and Summary.Outcomes.
const maxCauses = 100

// tell counts a letter's result and reports it.
func (p *replay) tell(it *item, result Result, typ, reason string) {
	p.done++
	s := &p.summary
	switch result {
	case ResultDelivered:
		s.Delivered++
	case ResultDropped:
		s.Dropped++
	case ResultReady:
		s.Ready++
	case ResultAccepted:
		s.Accepted++
	case ResultRefused:
		s.Refused++
	case ResultFailed:
		s.Failed++
	case ResultSkipped:
		s.Skipped++
	}
	if stays := result == ResultFailed || result == ResultSkipped || result == ResultRefused; stays {
		cause := typ
		if _, ok := s.Causes[cause]; !ok && len(s.Causes) >= maxCauses {
			cause = "other"
		}
		s.Causes[cause]++
	}
	p.count(OutcomeCount{Result: result, Type: typ, Field: ParseReason(typ, reason).Field}, it.entry.Key)
	p.progress(Event{Done: p.done, Total: s.Total, Key: it.entry.Key, Result: result, Documents: len(it.docs), Type: typ, Reason: reason})
}

// count adds a letter to the outcomes. What comes when there are many kinds joins one of its result.
func (p *replay) count(kind OutcomeCount, key flush.Key) {
	if p.outcomes[kind] == nil && len(p.outcomes) >= maxCauses {
		kind.Type, kind.Field = "other", ""
	}
	c := p.outcomes[kind]
	if c == nil {
		c = &OutcomeCount{Result: kind.Result, Type: kind.Type, Field: kind.Field, Example: key}
		p.outcomes[kind] = c
	}
	c.Count++
}

func (p *replay) newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = p.RetryMin, p.RetryMax
	if b.InitialInterval <= 0 {
		b.InitialInterval = 100 * time.Millisecond
	}
	if b.MaxInterval <= 0 {
		b.MaxInterval = 30 * time.Second
	}
	return b
}

func (p *replay) pause(ctx context.Context, d time.Duration) error {
	if p.sleep != nil {
		return p.sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
