package main

import (
	"bytes"
	"testing"

	"github.com/weirlog/weir/bench/report"
)

func TestRunCase_Loops(t *testing.T) {
	l := newLab(t)
	l.rounds = 1
	got := runOne(t, l, benchCase{connections: 4, events: 3, targets: []target{bareWrite, diskLoop, bulkLoop}})
	if len(l.report.Failures) > 0 {
		t.Errorf("failures: %q", l.report.Failures)
	}
	for _, row := range got.Rows {
		for _, r := range row.Rounds {
			sends := row.Target == report.BulkLoop
			if r.Acked <= 0 || r.PeakMegabytes <= 0 || sends != (r.Delivered > 0) || sends == (r.Rate > 0) || sends == (r.P50 > 0) {
				t.Errorf("%s: %+v", row.Target, r)
			}
			if !sends && r.Acked%(4*3) != 0 {
				t.Errorf("%s: %d events are no whole groups of all connections", row.Target, r.Acked)
			}
		}
	}
}

func TestLoop_BulkRequests_CarryWhatTheySay(t *testing.T) {
	c := loop{sink: "127.0.0.1:9200", events: 100, eventBytes: 320}
	requests := c.bulkRequests()
	if len(requests) < 2 {
		t.Fatalf("%d requests", len(requests))
	}
	for _, r := range requests {
		body := r.Body()
		if r.Events != bulkDocuments || bytes.Count(body, []byte(`{"create":`)) != r.Events || bytes.Count(body, []byte("\n")) != 2*r.Events ||
			bytes.Count(body, []byte(`"@timestamp":`)) != r.Events {
			t.Errorf("%d events, body of %d lines: %.200s", r.Events, bytes.Count(body, []byte("\n")), body)
		}
	}
}

func TestLab_Loop_Fails(t *testing.T) {
	l := newLab(t)
	// Nothing listens on port 1.
	if _, err := l.loop(t.Context(), loop{kind: "bulk", sink: "127.0.0.1:1"}, &benchCase{connections: 1, events: 1, eventBytes: 320}); err == nil {
		t.Error("a loop without a sink found something")
	}
}
