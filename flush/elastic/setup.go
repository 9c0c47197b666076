package elastic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// SetupOptions say what Setup makes.
type SetupOptions struct {
	Targets []SetupTarget
	// RolloverSize (50gb) and RolloverAge (30d) end a backing index of a data stream, whichever comes first; "" for never.
	RolloverSize string
	RolloverAge  string
	// Retention (30d) is when an index is deleted. "" for never.
	Retention string
	// FailureStore turns the failure store of data streams on, where the server has it.
	FailureStore bool
	// Replicas of each shard; negative leaves it to the server.
	Replicas int
	// Force replaces what somebody else made.
	Force bool
	// DryRun only looks. Steps then say what would be done.
	DryRun bool
}

// SetupTarget is what documents of one or more streams go to.
type SetupTarget struct {
	// Index is the name, or a pattern with a star for its date.
	Index string
	// DataStream: a data stream of that name; otherwise plain indices.
	DataStream bool
}

// SetupResult is what became of a step.
type SetupResult string

// The results.
const (
	SetupCreated   SetupResult = "created"
	SetupUpdated   SetupResult = "updated"
	SetupUnchanged SetupResult = "unchanged"
	SetupSkipped   SetupResult = "skipped"
	SetupFailed    SetupResult = "failed"
)

// SetupStep is one thing that Setup makes, or does not.
type SetupStep struct {
	Kind   string      `json:"kind"` // policy, index template, data stream, failure store
	Name   string      `json:"name"`
	Result SetupResult `json:"result"`
	Why    string      `json:"why,omitempty"`
	// The request that makes it; "" when there is none to make.
	Method string          `json:"method,omitempty"`
	Path   string          `json:"path,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Setup makes the policies, index templates and data streams that logs need, and returns a step for each. It replaces what it
// made itself and what has changed since; what somebody else made, or changed on the server, stays as it is. An error means that the
// server could not be asked; a step that failed is no error.
func (s *Sink) Setup(ctx context.Context, opts SetupOptions) (Info, []SetupStep, error) {
	info, err := s.Ping(ctx)
	if err != nil {
		return info, nil, err
	}
	st := &setup{sink: s, opts: opts, info: info}
	seen := map[SetupTarget]bool{}
	for _, target := range opts.Targets {
		if seen[target] {
			continue
		}
		seen[target] = true
		if err := st.target(ctx, target); err != nil {
			return info, st.steps, err
		}
	}
	return info, st.steps, nil
}

// setup is one run.
type setup struct {
	sink  *Sink
	opts  SetupOptions
	info  Info
	steps []SetupStep
}

func (st *setup) add(step SetupStep) { st.steps = append(st.steps, step) }

// target makes all that one target needs, in the order in which one refers to the other.
func (st *setup) target(ctx context.Context, target SetupTarget) error {
	policy, err := st.policy(ctx, target)
	if err != nil {
		return err
	}
	exists := false
	if target.DataStream {
		a, err := st.sink.call(ctx, http.MethodGet, "/_data_stream/"+target.Index, nil, nil)
		if err != nil {
			return err
		}
		exists = a.ok()
	}
	if err := st.template(ctx, target, policy, exists); err != nil {
		return err
	}
	if target.DataStream {
		return st.dataStream(ctx, target, exists)
	}
	return nil
}

// Name of the policy and the template of a target.
func (t SetupTarget) name() string {
	return "weir-" + strings.Trim(strings.ReplaceAll(t.Index, "*", ""), "-._")
}

// marker is what weir writes into what it makes: who made it, and of what, so that it is known when it is to be replaced. Changes that
// somebody made on the server since are kept until then.
type marker struct {
	By   string `json:"managed_by"`
	Hash string `json:"weir_setup"`
}

const managedBy = "weir"

func markerOf(body any) marker {
	text, err := json.Marshal(body)
	if err != nil {
		panic("elastic: marshal setup: " + err.Error()) // maps of plain values
	}
	sum := sha256.Sum256(text)
	return marker{By: managedBy, Hash: hex.EncodeToString(sum[:8])}
}

// thing is something on the server that a step makes.
type thing struct {
	kind, name string
	path       string         // of GET and PUT
	query      url.Values     // of PUT, nil for none
	body       map[string]any // with the marker in it
	want       marker
	got        marker // of what is there
	there      bool
}

// put makes a thing unless it is there, and reports what became of it.
func (st *setup) put(ctx context.Context, t thing, why string) (SetupStep, error) {
	step := SetupStep{Kind: t.kind, Name: t.name, Result: SetupCreated, Why: why}
	if t.there {
		step.Result = SetupUpdated
		switch {
		case t.got == t.want:
			return SetupStep{Kind: t.kind, Name: t.name, Result: SetupUnchanged}, nil
		case t.got.By != managedBy && !st.opts.Force:
			return SetupStep{Kind: t.kind, Name: t.name, Result: SetupSkipped, Why: "it is there, and weir did not make it; --force replaces it"}, nil
		}
	}
	var err error
	step.Method, step.Path = http.MethodPut, t.path
	if len(t.query) > 0 {
		step.Path += "?" + t.query.Encode()
	}
	if t.body != nil {
		if step.Body, err = json.Marshal(t.body); err != nil {
			return step, &SetupError{step, err}
		}
	}
	if st.opts.DryRun {
		return step, nil
	}
	var body any
	if step.Body != nil {
		body = step.Body
	}
	a, err := st.sink.call(ctx, http.MethodPut, t.path, t.query, body)
	switch {
	case err != nil:
		return step, err
	case !a.ok():
		step.Result, step.Why = SetupFailed, a.text()
	}
	return step, nil
}

// SetupError is a step that could not be made into a request.
type SetupError struct {
	Step SetupStep
	Err  error
}

func (e *SetupError) Error() string { return fmt.Sprintf("%s %s: %v", e.Step.Kind, e.Step.Name, e.Err) }

func (e *SetupError) Unwrap() error { return e.Err }

// text says why a request was refused.
func (a reply) text() string {
	var deep struct {
		Error struct {
			Cause *cause `json:"caused_by"`
		} `json:"error"`
	}
	typ, reason := errorOf(a.body)
	text := strings.TrimSuffix(fmt.Sprintf("the server answered %d %s: %s", a.status, typ, printable([]byte(reason))), ": ")
	if json.Unmarshal(a.body, &deep) == nil && deep.Error.Cause != nil {
		text += ": " + printable([]byte(deep.Error.Cause.deepest()))
	}
	return text
}

type cause struct {
	Reason string `json:"reason"`
	Cause  *cause `json:"caused_by"`
}

// deepest returns the reason that the others are about.
func (c *cause) deepest() string {
	for c.Cause != nil {
		c = c.Cause
	}
	return c.Reason
}

// look fetches what is there. why is "" unless it cannot be made at all.
func (st *setup) look(ctx context.Context, path, lacking string) (a reply, why string, err error) {
	a, err = st.sink.call(ctx, http.MethodGet, path, nil, nil)
	switch {
	case err != nil:
		return a, "", err
	case a.lacks():
		return a, lacking, nil
	case !a.ok() && a.status != http.StatusNotFound:
		return a, "", errors.New(a.text())
	}
	return a, "", nil
}

// dataStream makes the data stream itself, so that a mistake shows now and not with the first event.
func (st *setup) dataStream(ctx context.Context, target SetupTarget, exists bool) error {
	t := thing{kind: "data stream", name: target.Index, path: "/_data_stream/" + target.Index, there: exists}
	step, err := st.put(ctx, t, "")
	if err != nil {
		return err
	}
	if strings.Contains(step.Why, "no handler found") {
		step.Result, step.Why = SetupSkipped, "this server has no data streams"
	}
	st.add(step)
	return nil
}
