package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
)

// letterFilter is a deadletter.Filter as flags, query parameters and request bodies write it.
type letterFilter struct {
	Stage  string `json:"stage,omitempty"`
	Status int    `json:"status,omitempty"`
	Type   string `json:"type,omitempty"`
	Reason string `json:"reason,omitempty"`
	Field  string `json:"field,omitempty"`
	Index  string `json:"index,omitempty"`
	Stream string `json:"stream,omitempty"`
	Since  string `json:"since,omitempty"` // see parseWhen
	Until  string `json:"until,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	Skip   int    `json:"skip,omitempty"`
}

// filterParameters are the query parameters of a letterFilter.
var filterParameters = []string{"stage", "status", "type", "reason", "field", "index", "stream", "since", "until", "limit", "skip"}

var letterStages = []string{string(flush.StageIngest), string(flush.StageLog), string(flush.StageTransform), string(flush.StageIndex)}

func (q *query) filter() letterFilter {
	return letterFilter{
		Stage: q.text("stage"), Status: q.number("status"), Type: q.text("type"), Reason: q.text("reason"), Field: q.text("field"), Index: q.text("index"),
		Stream: q.text("stream"), Since: q.text("since"), Until: q.text("until"), Limit: q.number("limit"), Skip: q.number("skip"),
	}
}

// compile checks the filter.
func (f *letterFilter) compile(now time.Time) (deadletter.Filter, error) {
	out := deadletter.Filter{
		Stage: flush.Stage(f.Stage), Status: f.Status, Type: f.Type, Reason: f.Reason, Field: f.Field, Index: f.Index, Stream: f.Stream,
		Limit: f.Limit, Skip: f.Skip,
	}
	if f.Stage != "" && !slices.Contains(letterStages, f.Stage) {
		return out, badRequest("stage is %q; write ingest, log, transform or index", f.Stage)
	}
	if f.Limit < 0 || f.Skip < 0 || f.Status < 0 {
		return out, badRequest("limit, skip and status cannot be below 0")
	}
	var err error
	if out.Since, err = parseWhen(f.Since, now); err != nil {
		return out, badRequest("since: %s", err)
	}
	if out.Until, err = parseWhen(f.Until, now); err != nil {
		return out, badRequest("until: %s", err)
	}
	return out, nil
}

// empty reports a filter that chooses every letter.
func (f *letterFilter) empty() bool { return *f == letterFilter{} }

// share is the part of a selection that lies in one of the two stores.
type share struct {
	store  *deadletter.Store
	filter deadletter.Filter
}

// shares spreads a selection over the letters and, behind them, the refused bodies.
func (a *admin) shares(ctx context.Context, f deadletter.Filter) ([]share, error) {
	list := []share{{a.letters, f}}
	if f.Stage != "" && f.Stage != flush.StageIngest {
		return list, nil // refused bodies are all of that stage
	}
	rest := f
	if f.Limit > 0 || f.Skip > 0 {
		all := f
		all.Limit, all.Skip = 0, 0
		if f.Limit > 0 {
			all.Limit = f.Limit + f.Skip // enough to know
		}
		n, err := a.letters.Count(ctx, all)
		if err != nil {
			return nil, err
		}
		rest.Skip = max(0, f.Skip-n)
		if f.Limit > 0 {
			rest.Limit = f.Limit - max(0, n-f.Skip)
			if rest.Limit <= 0 {
				return list, nil
			}
		}
	}
	return append(list, share{a.refused, rest}), nil
}

// storeOf returns the store that holds a live letter of the key.
func (a *admin) storeOf(key flush.Key) (*deadletter.Store, deadletter.Letter, error) {
	letter, err := a.letters.Get(key)
	if !errors.Is(err, deadletter.ErrUnknownKey) {
		return a.letters, letter, err
	}
	letter, err = a.refused.Get(key)
	return a.refused, letter, err
}

// selection reads the filter of a request and spreads it.
func (a *admin) selection(r *http.Request, more ...string) (*query, []share, error) {
	q, err := a.query(r, append(slices.Clone(filterParameters), more...)...)
	if err != nil {
		return nil, nil, err
	}
	spec := q.filter()
	f, err := spec.compile(q.now)
	if err = cmp.Or(q.err, err); err != nil {
		return nil, nil, err
	}
	shares, err := a.shares(r.Context(), f)
	return q, shares, err
}

// totalHeader says how many letters a filter chooses, limit and skip aside, when total=1 asks for it.
const totalHeader = "X-Weir-Total"

// getLetters lists what the index knows of the letters, one a line.
func (a *admin) getLetters(w http.ResponseWriter, r *http.Request) error {
	q, shares, err := a.selection(r, "total")
	if err != nil {
		return err
	}
	if q.flag("total") {
		n, err := a.countLetters(r.Context(), q)
		if err != nil {
			return err
		}
		w.Header().Set(totalHeader, strconv.Itoa(n))
	}
	if q.err != nil {
		return q.err
	}
	out := newStream(w, contentTypeND)
	for _, s := range shares {
		for e, err := range s.store.List(r.Context(), s.filter) {
			if err != nil {
				return err
			}
			if err := out.line(e, false); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

func (a *admin) countLetters(ctx context.Context, q *query) (int, error) {
	spec := q.filter()
	spec.Limit, spec.Skip = 0, 0
	f, err := spec.compile(q.now)
	if err != nil {
		return 0, err
	}
	shares, err := a.shares(ctx, f)
	total := 0
	for _, s := range shares {
		n, err := s.store.Count(ctx, s.filter)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, err
}

// getLetterStats groups the letters by their trouble.
func (a *admin) getLetterStats(w http.ResponseWriter, r *http.Request) error {
	q, err := a.query(r, filterParameters...)
	if err != nil {
		return err
	}
	spec := q.filter()
	f, err := spec.compile(q.now)
	if err = cmp.Or(q.err, err); err != nil {
		return err
	}
	groups, err := a.letterGroups(r.Context(), f, true)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, groups)
	return nil
}

// letterGroups returns the groups of both stores, the largest first, with proposals where they are wanted: those read letters.
func (a *admin) letterGroups(ctx context.Context, f deadletter.Filter, propose bool) ([]deadletter.Group, error) {
	shares, err := a.shares(ctx, f)
	if err != nil {
		return nil, err
	}
	all := []deadletter.Group{}
	for _, s := range shares {
		groups, err := s.store.Stats(ctx, s.filter)
		if err != nil {
			return nil, err
		}
		if propose {
			s.store.Propose(groups)
		}
		all = append(all, groups...)
	}
	slices.SortStableFunc(all, func(a, b deadletter.Group) int { return cmp.Compare(b.Count, a.Count) })
	return all, nil
}

// exactBytes is bytes in JSON: exactly, as base64, and as text besides where they are text.
type exactBytes struct {
	Bytes []byte  `json:"base64"`
	Text  *string `json:"text,omitempty"`
}

func newExactBytes(b []byte) *exactBytes {
	if b == nil {
		return nil
	}
	c := &exactBytes{Bytes: b}
	if utf8.Valid(b) {
		s := string(b)
		c.Text = &s
	}
	return c
}

// letterView is a letter whole.
type letterView struct {
	flush.Letter
	Seq      wal.Offset  `json:"seq"`
	EditedAt time.Time   `json:"edited_at,omitzero"`
	Event    *exactBytes `json:"event,omitempty"`
	Document *exactBytes `json:"document,omitempty"`
	Original *exactBytes `json:"original,omitempty"` // the event as first received, when it was edited
	Damage   string      `json:"damage,omitempty"`   // why the bytes cannot be read
}

func newLetterView(l *deadletter.Letter) *letterView {
	return &letterView{
		Letter: l.Letter, Seq: l.Seq, EditedAt: l.EditedAt,
		Event: newExactBytes(l.Event), Document: newExactBytes(l.Document), Original: newExactBytes(l.Original),
	}
}

func keyOf(r *http.Request) (flush.Key, error) {
	key, err := flush.ParseKey(r.PathValue("key"))
	if err != nil {
		return key, apiErrorf(http.StatusBadRequest, "bad_key", "%s; weir dlq ls shows the keys", err)
	}
	return key, nil
}

func (a *admin) getLetter(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	_, letter, err := a.storeOf(key)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, newLetterView(&letter))
	return nil
}

// exportLetters streams letters whole: those of a filter, or of the keys given.
func (a *admin) exportLetters(w http.ResponseWriter, r *http.Request) error {
	q, shares, err := a.selection(r, "key")
	if err != nil {
		return err
	}
	if len(q.values["key"]) > 0 {
		return a.exportKeys(w, q)
	}
	out := newStream(w, contentTypeND)
	for _, s := range shares {
		for found, err := range s.store.Letters(r.Context(), s.filter) {
			if err != nil {
				return err
			}
			view := newLetterView(&found.Letter)
			if found.Err != nil {
				view.Damage = found.Err.Error()
			}
			if err := out.line(view, false); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

func (a *admin) exportKeys(w http.ResponseWriter, q *query) error {
	if spec := q.filter(); !spec.empty() {
		return badRequest("give keys or a filter, not both")
	}
	keys, err := parseKeys(q.values["key"])
	if err != nil {
		return err
	}
	var out *stream
	for _, key := range keys {
		_, letter, err := a.storeOf(key)
		view := newLetterView(&letter)
		if errors.Is(err, deadletter.ErrLetterDamaged) {
			view.Key, view.Damage = key, err.Error()
		} else if err != nil {
			return err
		}
		if out == nil {
			out = newStream(w, contentTypeND)
		}
		if err := out.line(view, false); err != nil {
			return err
		}
	}
	return out.flush()
}

func parseKeys(texts []string) ([]flush.Key, error) {
	keys := make([]flush.Key, len(texts))
	for i, text := range texts {
		key, err := flush.ParseKey(text)
		if err != nil {
			return nil, apiErrorf(http.StatusBadRequest, "bad_key", "%s; weir dlq ls shows the keys", err)
		}
		keys[i] = key
	}
	return keys, nil
}
