package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

func TestSamples_Add_RatesAreSinceTheSampleBefore(t *testing.T) {
	s := newSamples(nil)
	at := func(d time.Duration, acked, arrived int64) reading { return reading{s.begun.Add(d), acked, arrived} }
	s.add(at(time.Second, 1000, 0))
	s.add(at(1500*time.Millisecond, 1500, 1250))
	s.add(at(1500*time.Millisecond, 9999, 9999)) // no time has passed: there is no rate
	want := []report.Sample{
		{Seconds: 1, BacklogEvents: 1000, Acked: 1000},
		{Seconds: 1.5, BacklogEvents: 250, Acked: 1000, Delivered: 2500},
	}
	if len(s.series) != 2 || s.series[0] != want[0] || s.series[1] != want[1] {
		t.Errorf("%+v", s.series)
	}
}

func TestSamples_Follow_EndsWhenDoneSays(t *testing.T) {
	readings := 0
	s := newSamples(func(context.Context) (reading, error) {
		readings++
		return reading{time.Now(), int64(readings), 0}, nil
	})
	err := s.follow(t.Context(), func(before, now reading) (bool, error) {
		if now.acked != before.acked+1 {
			t.Errorf("%d after %d", now.acked, before.acked)
		}
		return now.acked == 2, nil
	})
	if err != nil || len(s.series) != 2 {
		t.Errorf("%d samples, %v", len(s.series), err)
	}
	broken := errors.New("nobody answers")
	s.read = func(context.Context) (reading, error) { return reading{}, broken }
	if err := s.follow(t.Context(), caughtUp()); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestCaughtUp(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration, acked, arrived int64) reading { return reading{start.Add(d), acked, arrived} }
	done := caughtUp()
	for _, tt := range []struct {
		before, now reading
		want        bool
		err         string
	}{
		{at(0, 100, 0), at(1, 110, 50), false, ""},
		{at(1, 110, 50), at(2, 120, 109), false, ""},
		{at(2, 120, 109), at(3, 130, 120), true, ""},
		{at(3, 130, 120), at(3+catchUpPatience, 1000, 121), false, ""},
		{at(3+catchUpPatience, 130, 120), at(4+catchUpPatience, 1000, 122), false, "not been below 10 events"},
	} {
		got, err := done(tt.before, tt.now)
		if got != tt.want || (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v: %v, %v", tt.now, got, err)
		}
	}
}

// sinkOf returns a heldUp without a weir, whose sink is a child.
func sinkOf(t *testing.T, l *lab, flags ...string) *heldUp {
	t.Helper()
	sink, address, err := startChild(t.Context(), l, l.dir, "sink", 0, flags...)
	if err != nil {
		t.Fatal(err)
	}
	b := &heldUp{server: &server{process: stoppable(t), others: []*process{sink}}, lab: l, sink: "http://" + address}
	t.Cleanup(b.close)
	return b
}

// send posts a bulk request with some documents to the sink.
func (b *heldUp) send(t *testing.T, documents int) (status int) {
	t.Helper()
	body := strings.Repeat(`{"create":{"_index":"i","_id":"1"}}`+"\n{}\n", documents)
	resp, err := http.Post(b.sink+"/_bulk", "application/x-ndjson", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestHeldUp_Tell_SinkRefusesAndTakes(t *testing.T) {
	b := sinkOf(t, newLab(t))
	for _, tt := range []struct {
		control string
		status  int
		arrived int64
	}{{refusing, 503, 0}, {taking, 200, 3}, {refusing, 503, 3}} {
		if err := b.tell(t.Context(), tt.control); err != nil {
			t.Fatal(err)
		}
		if got := b.send(t, 3); got != tt.status {
			t.Errorf("%s: status %d", tt.control, got)
		}
		if stats, err := arrivals(t.Context(), b.sink); err != nil || stats.Created != tt.arrived {
			t.Errorf("%s: %+v, %v", tt.control, stats, err)
		}
	}
	if err := b.tell(t.Context(), "nonsense"); err == nil {
		t.Error("the sink was told nonsense and nothing was said")
	}
	if _, err := b.firstDelivery(t.Context()); err != nil {
		t.Errorf("first delivery: %v", err)
	}
}

func TestHeldUp_Settle_CountsWhatIsLostAndDoubled(t *testing.T) {
	l := newLab(t)
	b := sinkOf(t, l)
	b.send(t, 5)
	for events, want := range map[int64]report.Round{5: {}, 3: {Doubled: 2}} {
		var round report.Round
		b.process = stoppable(t)
		_, problems := b.settle(t.Context(), &round, events)
		if round.Lost != want.Lost || round.Doubled != want.Doubled || (len(problems) > 0) != (want.Doubled > 0) {
			t.Errorf("%d events: %+v, %q", events, round, problems)
		}
	}
}

// stoppable returns a process that ends in order.
func stoppable(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	p, err := startProcess(t.Context(), "sh", dir, nil, "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if err := p.await(t.Context(), time.Minute, func() bool { return p.tail() == "ready" }); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPaced_RequestsWaitForTheirTurn(t *testing.T) {
	turn := paced(1000)
	first, second := turn(elastictest.Request{Documents: 500}).Delay, turn(elastictest.Request{Documents: 500}).Delay
	if first <= 400*time.Millisecond || first > 500*time.Millisecond || second <= 900*time.Millisecond || second > time.Second {
		t.Errorf("500 documents at 1,000/s wait %s, 500 more %s", first, second)
	}
}

func TestHeldUp_FirstAck_TriesUntilItIsAcknowledged(t *testing.T) {
	calls := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls < 4 {
			w.WriteHeader(503)
			return
		}
		w.WriteHeader(202)
	}))
	defer web.Close()
	b := &heldUp{server: &server{address: web.Listener.Addr().String(), path: "/ingest", process: stoppable(t)}}
	if when, attempts, err := b.firstAck(t.Context()); err != nil || attempts != 3 || when.IsZero() {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	web.Close()
	b.process.kill()
	if _, _, err := b.firstAck(t.Context()); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("weir ended: %v", err)
	}
}

func TestStartLoad_Wait_TellsWhatWasNotAcknowledged(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer web.Close()
	plan := load.Plan{Address: web.Listener.Addr().String(), Connections: 1, Limit: 2,
		Requests: load.Make("bench", load.Shape{Path: "/ingest", Events: 1, EventBytes: 320, Variants: 1})}
	if _, err := startLoad(t.Context(), plan).wait(t.Context()); err == nil || !strings.Contains(err.Error(), "2 requests failed") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	signal := errors.New("the signal")
	cancel(signal)
	if _, err := startLoad(ctx, plan).wait(ctx); !errors.Is(err, signal) {
		t.Errorf("error %v", err)
	}
	plan.Connections = 0
	if r, err := startLoad(t.Context(), plan).wait(t.Context()); r == nil || err == nil || !strings.Contains(err.Error(), "connections") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestHeldUp_Verify_ReadsHowFarItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		lines string
		bytes int64
		err   string
	}{
		"all is well":    {`{"bytes":10,"total":20}` + "\n" + `{"bytes":20,"total":20}` + "\n" + `{"report":{"lost":0}}`, 20, ""},
		"broken off":     {`{"bytes":10,"total":20}`, 10, ""},
		"records lost":   {`{"bytes":10,"total":20}` + "\n" + `{"report":{"lost":2}}`, 10, "2 records cannot be read"},
		"it fails":       {`{"error":{"code":"x","message":"no disk"}}`, 0, "no disk"},
		"something else": {`<html>`, 0, "how far"},
	} {
		t.Run(name, func(t *testing.T) {
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(tt.lines)) // a client that is gone is the test's to report
			}))
			defer admin.Close()
			b := &heldUp{server: &server{admin: admin.URL}}
			bytes, err := b.verify(t.Context())
			if bytes != tt.bytes || (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d bytes, %v", bytes, err)
			}
		})
	}
}

func TestOptions_Amount_IsLessForShortWindows(t *testing.T) {
	c := benchCase{backlog: gigabyte, takes: 10 * time.Second}
	for seconds, want := range map[float64]int{0.1: gigabyte / 10, 1: gigabyte, 5: gigabyte} {
		o := options{seconds: seconds}
		if got := o.amount(c.backlog); got != want {
			t.Errorf("%g s: %d bytes", seconds, got)
		}
		if got := o.takes(&c); got != roundExtra+10*time.Second*time.Duration(want/(gigabyte/10))/10 {
			t.Errorf("%g s: a round takes %s", seconds, got)
		}
	}
}

func TestRunCase_TargetWithConnectionsOfItsOwn(t *testing.T) {
	l := newLab(t)
	l.rounds = 1
	few := noop
	few.connections = 7
	got := runOne(t, l, benchCase{connections: 50, events: 1, idle: true, targets: []target{few}})
	if r := got.Rows[0].Rounds[0]; r.Acked != 7 || got.Connections != 50 {
		t.Errorf("%d connections sent a request each, in a case of %d", r.Acked, got.Connections)
	}
}
