package elastic

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// policy makes the policy of a target and returns its name, "" when there is none to refer to.
func (st *setup) policy(ctx context.Context, target SetupTarget) (string, error) {
	if st.opts.Retention == "" && (!target.DataStream || st.opts.RolloverAge == "" && st.opts.RolloverSize == "") {
		return "", nil
	}
	switch {
	case st.info.Product == ProductOpenSearch:
		return st.ism(ctx, target)
	case st.info.Serverless:
		st.add(SetupStep{Kind: "policy", Name: target.name(), Result: SetupSkipped, Why: "a serverless project has no ILM: the template names the retention"})
		return "", nil
	}
	return st.ilm(ctx, target)
}

// ilm makes a policy of Elasticsearch.
func (st *setup) ilm(ctx context.Context, target SetupTarget) (string, error) {
	t := thing{kind: "policy", name: target.name(), path: "/_ilm/policy/" + target.name()}
	a, why, err := st.look(ctx, t.path, "this server has no ILM: indices neither roll over nor are deleted by themselves")
	if err != nil || why != "" {
		return "", st.cannot(t, why, err)
	}
	var there map[string]struct {
		Policy struct {
			Meta marker `json:"_meta"`
		} `json:"policy"`
	}
	t.there = a.ok()
	if t.there && json.Unmarshal(a.body, &there) == nil {
		t.got = there[t.name].Policy.Meta
	}
	policy := map[string]any{"phases": st.phases(target)}
	t.want = markerOf(policy)
	policy["_meta"] = t.want
	t.body = map[string]any{"policy": policy}
	return st.name(ctx, t)
}

func (st *setup) phases(target SetupTarget) map[string]any {
	rollover, hot := map[string]any{}, map[string]any{}
	if st.opts.RolloverAge != "" {
		rollover["max_age"] = st.opts.RolloverAge
	}
	if st.opts.RolloverSize != "" {
		rollover["max_primary_shard_size"] = st.opts.RolloverSize
	}
	if target.DataStream && len(rollover) > 0 {
		hot["rollover"] = rollover
	}
	phases := map[string]any{"hot": map[string]any{"min_age": "0ms", "actions": hot}}
	if st.opts.Retention != "" {
		phases["delete"] = map[string]any{"min_age": st.opts.Retention, "actions": map[string]any{"delete": map[string]any{}}}
	}
	return phases
}

// ism makes a policy of OpenSearch, which names the indices that it holds for itself.
func (st *setup) ism(ctx context.Context, target SetupTarget) (string, error) {
	t := thing{kind: "policy", name: target.name(), path: "/_plugins/_ism/policies/" + target.name()}
	a, why, err := st.look(ctx, t.path, "this server has no ISM: indices neither roll over nor are deleted by themselves")
	if err != nil || why != "" {
		return "", st.cannot(t, why, err)
	}
	var there struct {
		SeqNo  int64 `json:"_seq_no"`
		Term   int64 `json:"_primary_term"`
		Policy struct {
			Description string `json:"description"`
		} `json:"policy"`
	}
	t.there = a.ok()
	if t.there && json.Unmarshal(a.body, &there) == nil {
		t.query = url.Values{"if_seq_no": {strconv.FormatInt(there.SeqNo, 10)}, "if_primary_term": {strconv.FormatInt(there.Term, 10)}}
		if hash, ok := strings.CutPrefix(there.Policy.Description, ismDescription); ok {
			t.got = marker{By: managedBy, Hash: hash}
		}
	}
	policy := st.states(target)
	t.want = markerOf(policy)
	policy["description"] = ismDescription + t.want.Hash // there is no other place for a marker
	t.body = map[string]any{"policy": policy}
	return st.name(ctx, t)
}

const ismDescription = "made by weir setup, "

func (st *setup) states(target SetupTarget) map[string]any {
	rollover := map[string]any{}
	if st.opts.RolloverAge != "" {
		rollover["min_index_age"] = st.opts.RolloverAge
	}
	if st.opts.RolloverSize != "" {
		rollover["min_primary_shard_size"] = st.opts.RolloverSize
	}
	actions, transitions := []any{}, []any{}
	if target.DataStream && len(rollover) > 0 {
		actions = append(actions, map[string]any{"rollover": rollover})
	}
	states := []any{}
	if st.opts.Retention != "" {
		transitions = append(transitions, map[string]any{"state_name": "delete", "conditions": map[string]any{"min_index_age": st.opts.Retention}})
		states = append(states, map[string]any{"name": "delete", "actions": []any{map[string]any{"delete": map[string]any{}}}, "transitions": []any{}})
	}
	states = append([]any{map[string]any{"name": "hot", "actions": actions, "transitions": transitions}}, states...)
	return map[string]any{"default_state": "hot", "states": states,
		"ism_template": []any{map[string]any{"index_patterns": []string{target.Index}, "priority": target.priority()}}}
}

// name makes a policy and returns its name when it is there to refer to.
func (st *setup) name(ctx context.Context, t thing) (string, error) {
	step, err := st.put(ctx, t, "")
	if err != nil {
		return "", err
	}
	st.add(step)
	if step.Result == SetupFailed || st.info.Product == ProductOpenSearch {
		return "", nil
	}
	return t.name, nil
}

// cannot notes why something is not made: it is not there to be made, or the server refused to be asked.
func (st *setup) cannot(t thing, why string, err error) error {
	step := SetupStep{Kind: t.kind, Name: t.name, Result: SetupSkipped, Why: why}
	if err != nil {
		if !isRefusal(err) {
			return err
		}
		step.Result, step.Why = SetupFailed, err.Error()
	}
	st.add(step)
	return nil
}

// dataStreamLifecycle: what a serverless project has in place of policies.
func (st *setup) dataStreamLifecycle(target SetupTarget) map[string]any {
	if !st.info.Serverless || !target.DataStream || st.opts.Retention == "" {
		return nil
	}
	return map[string]any{"data_retention": st.opts.Retention}
}
