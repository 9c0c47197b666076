package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weirlog/weir/flush"
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

// look reads what the index is like. Without the privilege to, only its blocks are not seen, and no scratch index can be made.
func (p *Probe) look(ctx context.Context, index string, t *target) error {
	status, body, err := p.ask(ctx, http.MethodGet, "/"+url.PathEscape(index), nil, nil)
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
	status, body, err := p.ask(ctx, http.MethodPost, "/_index_template/_simulate_index/"+url.PathEscape(index), nil, nil)
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
