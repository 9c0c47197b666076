package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/weirlog/weir/flush"
)

// priority of a template. Those that come with Elasticsearch for logs-*-* have 100. The longer of two patterns that fit one index
// is the one that was meant for it, and two of one priority must not fit the same.
func (t SetupTarget) priority() int { return 200 + min(len(t.Index), 200) }

// freeObject is a field whose members are nobody's to foresee.
type freeObject struct {
	mapping map[string]any
	note    string // what it cannot do, "" when nothing
}

// freeObjects returns how context and extra are mapped: in one field each, whatever is in them, so that a thousand different keys are no
// thousand fields.
func (st *setup) freeObjects(fallback bool) freeObject {
	switch {
	case fallback:
	case st.info.AtLeast(ProductElasticsearch, 7, 3):
		// Beyond ignore_above, which with the key must stay below 32 KiB, a value is stored and not searched, instead of refusing the document.
		return freeObject{mapping: map[string]any{"type": "flattened", "ignore_above": 1024, "depth_limit": 100}}
	case st.info.AtLeast(ProductOpenSearch, 2, 7):
		return freeObject{
			mapping: map[string]any{"type": "flat_object"},
			note:    "a single value over 32,766 bytes in context or extra is refused, and makes a dead letter: OpenSearch's flat_object cannot leave it out",
		}
	}
	return freeObject{
		mapping: map[string]any{"type": "object", "dynamic": false},
		note:    "what is in context and extra is stored and shown, but cannot be searched: this server has no type for objects of any keys",
	}
}

// template makes the index template of a target. policy is the name of its policy, "" for none; exists says that its data stream
// is there already.
func (st *setup) template(ctx context.Context, target SetupTarget, policy string, exists bool) error {
	t := thing{kind: "index template", name: target.name(), path: "/_index_template/" + target.name()}
	a, why, err := st.look(ctx, t.path, "this server has no composable index templates")
	if err != nil || why != "" {
		return st.cannot(t, why, err)
	}
	var there struct {
		Templates []struct {
			Template struct {
				Meta marker `json:"_meta"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	if a.ok() && json.Unmarshal(a.body, &there) == nil && len(there.Templates) > 0 {
		t.there, t.got = true, there.Templates[0].Template.Meta
	}
	step, err := st.putTemplate(ctx, t, target, policy, false)
	if err == nil && step.Result == SetupFailed && (strings.Contains(step.Why, "[flattened]") || strings.Contains(step.Why, "flat_object")) {
		step, err = st.putTemplate(ctx, t, target, policy, true)
	}
	if err != nil {
		return err
	}
	if exists && (step.Result == SetupCreated || step.Result == SetupUpdated) {
		step.Why = joinNotes(step.Why, "the data stream is there already: what is new holds from its next rollover on, POST /"+target.Index+"/_rollover makes one now")
	}
	st.add(step)
	if st.opts.FailureStore && target.DataStream && !st.info.hasFailureStore() {
		st.add(SetupStep{Kind: "failure store", Name: target.Index, Result: SetupSkipped, Why: "this server has none; Elasticsearch has one from 8.19 and 9.1"})
	}
	return nil
}

func (st *setup) putTemplate(ctx context.Context, t thing, target SetupTarget, policy string, fallback bool) (SetupStep, error) {
	free := st.freeObjects(fallback)
	t.body = st.templateBody(target, policy, free)
	t.want = markerOf(t.body)
	t.body["_meta"] = t.want
	return st.put(ctx, t, free.note)
}

func (st *setup) templateBody(target SetupTarget, policy string, free freeObject) map[string]any {
	template := map[string]any{"settings": st.settings(policy), "mappings": mappings(free, target.DataStream)}
	body := map[string]any{"index_patterns": []string{target.Index}, "priority": target.priority(), "template": template}
	if !target.DataStream {
		return body
	}
	body["data_stream"] = map[string]any{}
	if lifecycle := st.dataStreamLifecycle(target); lifecycle != nil {
		template["lifecycle"] = lifecycle
	}
	if st.opts.FailureStore && st.info.hasFailureStore() {
		template["data_stream_options"] = map[string]any{"failure_store": map[string]any{"enabled": true}}
	}
	return body
}

func (st *setup) settings(policy string) map[string]any {
	settings := map[string]any{
		"index.mapping.total_fields.limit": 1000,
		// A text where others had a number is kept and not searched by that field, instead of refusing the document.
		"index.mapping.ignore_malformed": true,
	}
	if st.info.AtLeast(ProductElasticsearch, 8, 14) {
		settings["index.mapping.total_fields.ignore_dynamic_beyond_limit"] = true
	}
	if policy != "" {
		settings["index.lifecycle.name"] = policy
	}
	if st.opts.Replicas >= 0 && !st.info.Serverless {
		settings["index.number_of_replicas"] = st.opts.Replicas
	}
	return settings
}

// mappings of logs: texts are keywords, but for the message; what looks like a date in one document need not be one in the next.
func mappings(free freeObject, dataStream bool) map[string]any {
	timestamp := map[string]any{"type": "date"}
	if dataStream {
		timestamp["ignore_malformed"] = false // data streams insist
	}
	return map[string]any{
		"date_detection": false,
		"dynamic_templates": []any{map[string]any{"texts": map[string]any{
			"match_mapping_type": "string", "mapping": map[string]any{"type": "keyword", "ignore_above": 1024},
		}}},
		"properties": map[string]any{
			"@timestamp": timestamp,
			"message":    map[string]any{"type": "text"},
			"context":    free.mapping,
			"extra":      free.mapping,
		},
	}
}

// hasFailureStore: general from 8.19 and 9.1 on.
func (i Info) hasFailureStore() bool {
	return i.AtLeast(ProductElasticsearch, 8, 19) && !strings.HasPrefix(i.Version, "9.0.")
}

func joinNotes(notes ...string) string {
	var said []string
	for _, n := range notes {
		if n != "" {
			said = append(said, n)
		}
	}
	return strings.Join(said, "; ")
}

// isRefusal reports whether a server answered, and refused.
func isRefusal(err error) bool {
	_, noAnswer := errors.AsType[*flush.RequestError](err)
	return !noAnswer
}
