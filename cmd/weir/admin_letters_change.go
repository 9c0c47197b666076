package main

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/ingest"
)

// putLetterEvent gives a letter another event. The body is the event itself.
func (a *admin) putLetterEvent(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.cfg.Ingest.MaxEventBytes)))
	if err != nil {
		return err
	}
	if len(event) == 0 {
		return deadletter.ErrEmptyEvent
	}
	if err := ingest.ValidateEvent(event); err != nil {
		return err
	}
	// A letter whose bytes are damaged can be given new ones only where its store can still read the rest;
	// Edit says so.
	store, letter, err := a.storeOf(key)
	if err != nil {
		return err
	}
	if letter.Stage == flush.StageLog {
		return badRequest("a letter of stage log stands for damaged bytes and is not replayed: send the event anew with weir send, and drop the letter")
	}
	if err := store.Edit(r.Context(), key, event); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"key": key, "bytes": len(event)})
	return nil
}

// letterRequest is the body of a replay or a drop: a filter or keys, and what to do.
type letterRequest struct {
	Filter letterFilter `json:"filter"`
	Keys   []flush.Key  `json:"keys,omitempty"`
	DryRun bool         `json:"dry_run,omitempty"`

	All bool `json:"all,omitempty"` // drop: no filter is meant

	AsSent bool    `json:"as_sent,omitempty"` // replay, like the next ones
	AsNew  bool    `json:"as_new,omitempty"`
	Rate   float64 `json:"rate,omitempty"`
	// Patch is the text of a script for this replay alone, PatchName the name of its file in messages.
	Patch     string `json:"patch,omitempty"`
	PatchName string `json:"patch_name,omitempty"`
	// Sample is how many letters a dry run asks the destination about; nil for defaultSample, below 0 for all.
	Sample *int `json:"sample,omitempty"`
}

// defaultSample is how many letters a dry run asks the destination about.
const defaultSample = 1000

// maxLetterRequest bounds the body: room for some hundred thousand keys.
const maxLetterRequest = 16 << 20

// readLetterRequest reads and checks the body, and spreads the selection. With keys there is a share for each store
// that holds some of them; keys that nobody holds go to the letters, which say so.
func (a *admin) readLetterRequest(w http.ResponseWriter, r *http.Request) (*letterRequest, []share, map[*deadletter.Store][]flush.Key, error) {
	if _, err := a.query(r); err != nil {
		return nil, nil, nil, err
	}
	var req letterRequest
	if err := readJSON(w, r, maxLetterRequest, &req); err != nil {
		return nil, nil, nil, err
	}
	if len(req.Keys) > 0 {
		if !req.Filter.empty() {
			return nil, nil, nil, badRequest("give keys or a filter, not both")
		}
		keys := map[*deadletter.Store][]flush.Key{}
		for _, key := range req.Keys {
			store, _, err := a.storeOf(key)
			if errors.Is(err, deadletter.ErrUnknownKey) {
				store = a.letters
			} else if err != nil && !errors.Is(err, deadletter.ErrLetterDamaged) {
				return nil, nil, nil, err
			}
			keys[store] = append(keys[store], key)
		}
		return &req, nil, keys, nil
	}
	f, err := req.Filter.compile(a.now())
	if err != nil {
		return nil, nil, nil, err
	}
	shares, err := a.shares(r.Context(), f)
	return &req, shares, nil, err
}

// dropLetters gives letters up. To drop all of them, all has to be said.
func (a *admin) dropLetters(w http.ResponseWriter, r *http.Request) error {
	req, shares, keys, err := a.readLetterRequest(w, r)
	if err != nil {
		return err
	}
	if keys == nil && req.Filter.empty() && !req.All && !req.DryRun {
		return badRequest("this would drop every dead letter: give a filter or keys, or say all")
	}
	total := 0
	for store, list := range keys {
		n, err := store.Drop(r.Context(), list, req.DryRun)
		if total += n; err != nil {
			return err
		}
	}
	for _, s := range shares {
		n, err := s.store.DropAll(r.Context(), s.filter, req.DryRun)
		if total += n; err != nil {
			return err
		}
	}
	if !req.DryRun {
		a.logger.Info("dead letters dropped by request", "letters", total, "remote", r.RemoteAddr)
	}
	writeJSON(w, http.StatusOK, dropAnswer{Letters: total, DryRun: req.DryRun})
	return nil
}

type dropAnswer struct {
	Letters int  `json:"letters"` // dropped, or with dry_run to be dropped
	DryRun  bool `json:"dry_run,omitempty"`
}

// replayLine is a line of a replay's answer: what became of a letter, a pause, or at the end the summary.
type replayLine struct {
	Done         int                 `json:"done,omitempty"`
	Total        int                 `json:"total,omitempty"`
	Key          *flush.Key          `json:"key,omitempty"`
	Result       deadletter.Result   `json:"result,omitempty"`
	Documents    int                 `json:"documents,omitempty"`
	Type         string              `json:"type,omitempty"`
	Reason       string              `json:"reason,omitempty"`
	PauseSeconds float64             `json:"pause_seconds,omitempty"`
	Parked       bool                `json:"parked,omitempty"` // while waiting: nothing changes until an operator acts
	Summary      *deadletter.Summary `json:"summary,omitempty"`
	Error        *errorDetail        `json:"error,omitempty"` // the replay ended before its end
}

// replayLetters feeds letters back and tells of each as it goes. It ends when the client goes away; what
// is settled by then stays settled.
func (a *admin) replayLetters(w http.ResponseWriter, r *http.Request) error {
	if a.replayer == nil {
		return apiErrorf(http.StatusConflict, "not_open", "the destination is not open")
	}
	req, shares, keys, err := a.readLetterRequest(w, r)
	if err != nil {
		return err
	}
	if req.Rate < 0 || math.IsNaN(req.Rate) || math.IsInf(req.Rate, 0) {
		return badRequest("rate cannot be below 0")
	}
	var patch flush.Transformer
	if req.Patch != "" {
		if patch, err = a.compilePatch(r.Context(), req.PatchName, req.Patch); err != nil {
			return err
		}
	}
	sample := defaultSample
	if req.Sample != nil {
		sample = *req.Sample
	}
	for _, store := range []*deadletter.Store{a.letters, a.refused} {
		if list := keys[store]; len(list) > 0 {
			shares = append(shares, share{store: store})
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	total, err := a.countShares(ctx, shares, keys)
	if err != nil {
		return err
	}
	run := &replayRun{out: newStream(w, contentTypeND), cancel: cancel, total: total, summary: deadletter.Summary{Causes: map[string]int{}}}
	for _, s := range shares {
		request := deadletter.Request{
			Filter: s.filter, Keys: keys[s.store], AsSent: req.AsSent, AsNew: req.AsNew, DryRun: req.DryRun, Rate: req.Rate,
			Patch: patch, Sample: sample,
		}
		if err := run.replay(ctx, a.replayer(s.store), request); err != nil {
			return err
		}
		if sample > 0 {
			sample = max(0, sample-run.asked())
		}
	}
	if err := run.out.line(replayLine{Summary: &run.summary}, true); err != nil {
		return err
	}
	return run.out.flush()
}

func (a *admin) countShares(ctx context.Context, shares []share, keys map[*deadletter.Store][]flush.Key) (int, error) {
	total := 0
	for _, s := range shares {
		if list := keys[s.store]; len(list) > 0 {
			total += len(list)
			continue
		}
		n, err := s.store.Count(ctx, s.filter)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// replayRun is one replay over both stores.
type replayRun struct {
	out     *stream
	cancel  context.CancelFunc
	before  int // letters of the shares that are done
	total   int
	summary deadletter.Summary
	lost    error // why the client cannot be told any more
}

func (run *replayRun) replay(ctx context.Context, replayer *deadletter.Replayer, request deadletter.Request) error {
	summary, err := replayer.Replay(ctx, request, run.tell)
	run.before += summary.Total
	add(&run.summary, &summary)
	if run.lost != nil {
		return run.lost
	}
	if err != nil && summary.Total > 0 {
		// What was done until here is told besides why it ended.
		if tellErr := run.out.line(replayLine{Summary: &run.summary}, true); tellErr != nil {
			return tellErr
		}
	}
	return err
}

func (run *replayRun) tell(e deadletter.Event) {
	if run.lost != nil {
		return
	}
	waiting := e.Result == deadletter.ResultWaiting
	run.lost = run.out.line(replayLine{
		Done: run.before + e.Done, Total: max(run.total, run.before+e.Total), Key: &e.Key, Result: e.Result,
		Documents: e.Documents, Type: e.Type, Reason: e.Reason, PauseSeconds: e.Pause.Seconds(), Parked: e.Parked,
	}, waiting)
	if run.lost != nil {
		run.cancel()
	}
}

// asked is how many letters a dry run has asked the destination about.
func (run *replayRun) asked() int { return run.summary.Accepted + run.summary.Refused }

// add adds the counts of a further share.
func add(to, s *deadletter.Summary) {
	to.Total += s.Total
	to.Delivered += s.Delivered
	to.Dropped += s.Dropped
	to.Failed += s.Failed
	to.Skipped += s.Skipped
	to.Ready += s.Ready
	to.Documents += s.Documents
	to.Duplicates += s.Duplicates
	to.FailureStore += s.FailureStore
	to.Accepted += s.Accepted
	to.Refused += s.Refused
	to.DroppedByPatch += s.DroppedByPatch
	to.AddOutcomes(s.Outcomes)
	for _, n := range s.Notes {
		if !slices.Contains(to.Notes, n) {
			to.Notes = append(to.Notes, n)
		}
	}
	for cause, n := range s.Causes {
		to.Causes[cause] += n
	}
}
