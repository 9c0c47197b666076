package load

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weirlog/weir/bench/marks"
)

func TestMake_SizeAndValidity(t *testing.T) {
	run := marks.Run(1)
	for _, tt := range []struct {
		size int
		run  *marks.Run
	}{{MinEventBytes, nil}, {roomyBytes - 1, nil}, {roomyBytes, nil}, {320, &run}, {1024, nil}, {MinMarkedBytes, &run}, {400, &run}} {
		shape := Shape{Path: "/ingest", Events: 1, EventBytes: tt.size, Variants: 500, Seed: 9, Run: tt.run}
		requests := Make("h", shape)
		again := Make("h", shape)
		for i, r := range requests {
			body := r.Body()
			if len(body) != tt.size || !json.Valid(body) {
				t.Fatalf("size %d: %d bytes: %s", tt.size, len(body), body)
			}
			if !bytes.Equal(r.Bytes, again[i].Bytes) {
				t.Fatalf("size %d: the same shape gave other bytes", tt.size)
			}
			if i > 0 && bytes.Equal(body, requests[i-1].Body()) {
				t.Fatalf("size %d: two events are the same", tt.size)
			}
			if marked := len(r.Marks) == 1; marked != (tt.run != nil) {
				t.Fatalf("size %d: marks %v", tt.size, r.Marks)
			}
		}
	}
}

// TestMake_EveryFormat reads back what was made, and finds each event's mark in it.
func TestMake_EveryFormat(t *testing.T) {
	run := marks.Run(9)
	lines := func(body []byte) int { return bytes.Count(body, []byte{'\n'}) }
	export := func(t *testing.T, err error, data *logs.LogsData) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		records := data.ResourceLogs[0].ScopeLogs[0].LogRecords
		for _, r := range records {
			if r.TimeUnixNano == 0 || r.Body.GetStringValue() == "" || len(r.Attributes) < 4 {
				t.Errorf("record %v", r)
			}
		}
		return len(records)
	}
	count := map[Format]func(t *testing.T, body []byte) int{
		Object: func(_ *testing.T, body []byte) int { return 1 - lines(body) },
		NDJSON: func(_ *testing.T, body []byte) int { return lines(body) },
		Array: func(t *testing.T, body []byte) int {
			var all []json.RawMessage
			if err := json.Unmarshal(body, &all); err != nil {
				t.Error(err)
			}
			return len(all)
		},
		Bulk: func(_ *testing.T, body []byte) int { return lines(body) / 2 },
		OTLPJSON: func(t *testing.T, body []byte) int {
			var data logs.LogsData
			return export(t, protojson.Unmarshal(body, &data), &data)
		},
		OTLPProtobuf: func(t *testing.T, body []byte) int {
			var data logs.LogsData
			return export(t, proto.Unmarshal(body, &data), &data)
		},
	}
	for _, f := range Formats {
		t.Run(string(f), func(t *testing.T) {
			events := 3
			if most := f.MaxEvents(); most > 0 {
				events = most
			}
			r := Make("h", Shape{Path: "/x", Events: events, EventBytes: 400, Variants: 1, Format: f, Run: &run, Close: true})[0]
			if n := count[f](t, r.Body()); n != events || len(r.Marks) != events {
				t.Errorf("%d events, %d marks, want %d: %s", n, len(r.Marks), events, r.Body())
			}
			head, _, _ := strings.Cut(string(r.Bytes), "\r\n\r\n")
			if !strings.HasPrefix(head, "POST /x HTTP/1.1\r\n") || !strings.Contains(head, "Content-Type: "+f.contentType()) || !strings.HasSuffix(head, "Connection: close") {
				t.Errorf("head %q", head)
			}
		})
	}
}

func TestFormat_Acknowledges(t *testing.T) {
	protobuf := func(rejected byte) string { return "\x0a\x02\x08" + string(rejected) }
	for _, tt := range []struct {
		format Format
		status int
		body   string
		want   bool
	}{
		{Object, 200, "", true}, {NDJSON, 204, "", true}, {Array, 299, "thanks", true},
		{Object, 199, "", false}, {Object, 301, "", false}, {Object, 503, "", false},
		{Bulk, 200, `{"took":1,"errors":false,"items":[]}`, true}, {Bulk, 200, `{"took":1, "errors": true,"items":[]}`, false}, {Bulk, 200, "", false},
		{OTLPJSON, 200, "", true}, {OTLPJSON, 200, "{}", true}, {OTLPJSON, 200, `{"partialSuccess":{}}`, true}, {OTLPJSON, 200, "<html>", false},
		{OTLPJSON, 200, `{"partialSuccess":{"rejectedLogRecords":"1"}}`, false}, {OTLPJSON, 200, `{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"x"}}`, true},
		{OTLPProtobuf, 200, "", true}, {OTLPProtobuf, 200, "\x0a\x00", true}, {OTLPProtobuf, 200, protobuf(0), true}, {OTLPProtobuf, 200, protobuf(1), false},
		{OTLPProtobuf, 200, "\x0a\x03\x12\x01x", true}, {OTLPProtobuf, 200, "\x0a\x7f", false}, {OTLPProtobuf, 400, "", false},
	} {
		if got := tt.format.Acknowledges(tt.status, []byte(tt.body)); got != tt.want {
			t.Errorf("%s: status %d, body %q: %v", tt.format, tt.status, tt.body, got)
		}
	}
}

func TestShape_Validate(t *testing.T) {
	run := marks.Run(1)
	for name, s := range map[string]Shape{
		"there is no format":    {Events: 1, EventBytes: 320, Format: "xml"},
		"2 events in a request": {Events: 2, EventBytes: 320, Format: Object},
		"0 events":              {EventBytes: 320},
		"the least is 100":      {Events: 1, EventBytes: 99},
		"the least is 312":      {Events: 1, EventBytes: 311, Run: &run},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
