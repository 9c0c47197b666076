package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/deadletter"
)

// TestReal_RemediesMakeLettersDeliverable takes events that a real server refuses from the refusal over the proposal to delivery: each
// proposal is tried in a dry run, which foretells it, and in a replay, which does it.
func TestReal_RemediesMakeLettersDeliverable(t *testing.T) {
	server := sharedServer(t)
	const fields = `"properties":{"n":{"type":"long"},"by":{"type":"byte"},"d":{"type":"date"},"b":{"type":"boolean"},"ip":{"type":"ip"},"f":{"type":"float"},
		"t":{"type":"text"},"kw":{"type":"keyword","ignore_above":100000},"o":{"properties":{"x":{"type":"long"}}},"al":{"type":"alias","path":"n"},
		"items":{"properties":{"price":{"properties":{"eur":{"type":"float"}}}}},"odd":{"properties":{"a-b":{"type":"long"}}}}`
	long := strings.Repeat("k", 40000)
	for name, tc := range map[string]struct {
		settings, mapping string
		events            []string
	}{
		"types": {mapping: fields, events: []string{
			`{"n":"abc"}`, `{"n":{"a":1}}`, `{"n":99999999999999999999999}`, `{"n":[1,"x"]}`, `{"by":1000}`, `{"d":"yesterday"}`, `{"b":"maybe"}`, `{"ip":"300.1.1.1"}`, `{"f":true}`,
			`{"t":{"a":1}}`, `{"t":[1,{"a":1}]}`, `{"kw":{"a":1}}`, `{"kw":"` + long + `"}`, `{"t.x":1}`, `{"n.x":1}`,
			`{"o":"text"}`, `{"o":[1,{"x":2}]}`, `{"odd":{"a-b":"x"}}`, `{"items":[{"price":{"eur":1}},{"price":{"eur":"free"}}]}`,
			`{"_id":"x"}`, `{"al":1}`, `{"a":1,"x":2,"a":3}`, `{"fresh":[1,"x",{"a":1}]}`, `{"two":{"a":1},"two.a":{"b":1}}`,
		}},
		"names":  {mapping: fields, events: []string{`{"":1}`, `{"x":{"":1}}`, `{"a..b":1}`, `{".a":1}`, `{".":1}`}},
		"strict": {mapping: `"dynamic":"strict","properties":{"@timestamp":{"type":"date"},"a":{"type":"long"},"o":{"properties":{"x":{"type":"long"}}}}`, events: []string{`{"foo":1,"a":1}`, `{"o":{"bar":1}}`}},
		"deep":   {settings: `,"index.mapping.depth.limit":2`, mapping: `"properties":{"@timestamp":{"type":"date"}}`, events: []string{`{"x":{"y":1},"a":{"b":{"c":{"d":1}}}}`}},
		"limit":  {settings: `,"index.mapping.total_fields.limit":3`, mapping: `"properties":{"@timestamp":{"type":"date"}}`, events: []string{`{"a1":1,"a2":1,"a3":1,"a4":1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &realServer{T: t, url: server.url, password: server.password, prefix: server.prefix}
			index := server.index("letters-"+name, tc.settings, tc.mapping)
			server.gone("/logs-rest-default")
			server.gone("/_data_stream/logs-rest-default")
			s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES="+server.url, "WEIR_ELASTICSEARCH_INDEX="+index)
			url := "http://" + s.service.ingest.Addrs()[0].String()
			o := newOperator(s)
			o.stdin = strings.NewReader(strings.Join(tc.events, "\n") + "\n")
			o.want(exitDone, "", "send", "--url", url, "-")
			if err := await(func() bool { return int(s.letters.Len()) == len(tc.events) }, "not all are letters"); err != nil {
				out, _, _ := o.exec(t.Context(), "dlq", "ls")
				t.Fatal(err, out, s.letters.Len(), len(tc.events))
			}
			var groups []deadletter.Group
			if err := json.Unmarshal([]byte(o.want(exitDone, "", "dlq", "stats", "-o", "json")), &groups); err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				if len(g.Remedies) == 0 {
					t.Errorf("nothing is proposed for %s %q, field %q", g.Type, g.Reason, g.Field)
				}
			}
			// The groups change as letters are settled: proposals are for the example, and the next one gets its own.
			for tries := 0; s.letters.Len() > 0 && !t.Failed(); tries++ {
				if err := json.Unmarshal([]byte(o.want(exitDone, "", "dlq", "stats", "-o", "json")), &groups); err != nil {
					t.Fatal(err)
				}
				g := groups[0]
				key := g.Example.String()
				if code, out, stderr := o.exec(t.Context(), "dlq", "replay", "--dry-run", key); code != exitFailed || !strings.Contains(out, "1 would be refused again") {
					t.Errorf("%s as it is: %d %s %s", key, code, out, stderr)
				}
				if code, out, stderr := o.exec(t.Context(), "dlq", "replay", "--dry-run", "--lua", g.Remedies[0].Lua, key); code != exitDone || !strings.Contains(out, "1 would be delivered") {
					t.Errorf("%s mended by\n%s\nforetold: %d %s %s", key, g.Remedies[0].Lua, code, out, stderr)
				}
				if code, out, stderr := o.exec(t.Context(), "dlq", "replay", "--lua", g.Remedies[0].Lua, key); code != exitDone {
					t.Errorf("%s, %q, mended by\n%s\n%d %s %s", key, g.Reason, g.Remedies[0].Lua, code, out, stderr)
				}
			}
			if status, body, err := server.try("GET", "/weir-scratch-*", ""); err != nil || status == 200 && strings.TrimSpace(string(body)) != "{}" {
				t.Errorf("left behind: %s, %v", body, err)
			}
		})
	}
}
