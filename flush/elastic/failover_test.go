package elastic_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// answering returns the address of a server that answers everything so.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body)) // the client may be gone
	}
}

// A node that cannot be reached costs an attempt, not a request.
func TestSink_Send_UnreachableNode_OthersTakeAll(t *testing.T) {
	tlsOnly := httptest.NewUnstartedServer(status(200, ""))
	tlsOnly.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	tlsOnly.Config.ErrorLog = quiet
	tlsOnly.StartTLS()
	defer tlsOnly.Close()
	for name, bad := range map[string]string{
		"refused":               "http://" + closedAddress(t),
		"no such name":          "http://weir.invalid:9200",
		"untrusted certificate": tlsOnly.URL,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := elastictest.Start(t, elastictest.Options{}), elastictest.Start(t, elastictest.Options{})
			sink := newSink(t, a, func(o *elastic.Options) { o.Addresses = []string{bad, a.URL(), b.URL()} })
			for range 30 {
				if _, err := sink.Send(t.Context(), documents(1)); err != nil {
					t.Fatal(err)
				}
			}
			if a.Stats().Requests < 10 || b.Stats().Requests < 10 {
				t.Errorf("requests: %d and %d, want both nodes used", a.Stats().Requests, b.Stats().Requests)
			}
			nodes := sink.Nodes()
			if !nodes[0].Failing || nodes[0].Error == "" || nodes[1].Failing || nodes[2].Failing {
				t.Errorf("nodes are %+v", nodes)
			}
		})
	}
}

// What a server may have seen is the flusher's to send again, however many other nodes there are.
func TestSink_Send_AnswerLost_IsNotRepeated(t *testing.T) {
	for name, fault := range map[string]elastictest.Fault{
		"stored":     {CutAfter: true},
		"not stored": {CutBefore: true},
		"reset":      {CutBefore: true, Reset: true},
		"in trouble": {Status: 503, RetryAfter: "60"},
	} {
		a := elastictest.Start(t, elastictest.Options{Request: func(elastictest.Request) elastictest.Fault { return fault }})
		b := elastictest.Start(t, elastictest.Options{})
		sink := newSink(t, a, func(o *elastic.Options) { o.Addresses = []string{b.URL(), a.URL()} }) // b tells who it is, a gets the bulk
		outcomes, err := sink.Send(t.Context(), documents(1))
		re := requestError(t, outcomes, err)
		if re.Verdict != flush.Retry || re.RetryAfter != 0 || a.Stats().Requests != 1 || b.Stats().Requests != 0 {
			t.Errorf("%s: error is %+v, requests %d and %d", name, re, a.Stats().Requests, b.Stats().Requests)
		}
		if n := sink.Nodes(); !n[1].Failing || n[1].Host == n[0].Host {
			t.Errorf("%s: nodes are %+v", name, n)
		}
		checkVerdicts(t, sink, documents(1), flush.Delivered) // b's turn: a rests
	}
}

// A node that answers with what is no search server's answer does not park what the others take.
func TestSink_Send_StrangeNode(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"page":       status(200, "<html>Sign in</html>"),
		"not found":  status(404, "404 page not found"),
		"redirect":   status(302, ""),
		"gateway":    status(502, "<html>Bad gateway</html>"),
		"no content": status(204, ""),
	} {
		a := elastictest.Start(t, elastictest.Options{})
		bad := answering(t, h)
		sink := newSink(t, a, func(o *elastic.Options) { o.Addresses = []string{a.URL(), bad} })
		outcomes, err := sink.Send(t.Context(), documents(1)) // a tells who it is, the strange one gets the bulk
		if re := requestError(t, outcomes, err); re.Verdict != flush.Retry {
			t.Errorf("%s: verdict with another node is %s", name, re.Verdict)
		}
		for range 5 {
			if _, err := sink.Send(t.Context(), documents(1)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		alone, err := elastic.New(elastic.Options{Addresses: []string{bad}})
		if err != nil {
			t.Fatal(err)
		}
		outcomes, err = alone.Send(t.Context(), documents(1))
		re := requestError(t, outcomes, err)
		if want := flush.ClassifyRequest(re.Status, re.Cause, re.Type, ""); re.Verdict != want {
			t.Errorf("%s: verdict alone is %s, want %s", name, re.Verdict, want)
		}
		if err := alone.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A node that hangs is proven well before it gets a batch again, so that it costs seconds once and not a request's whole
// time again and again.
func TestSink_Send_HangingNode(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // connects, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := elastictest.Start(t, elastictest.Options{})
	sink := newSink(t, a, func(o *elastic.Options) {
		o.Addresses = []string{a.URL(), "http://" + ln.Addr().String()}
		o.RequestTimeout = 200 * time.Millisecond
	})
	clock := time.Now()
	sink.SetClock(func() time.Time { return clock })
	outcomes, err := sink.Send(t.Context(), documents(1))
	if re := requestError(t, outcomes, err); re.Cause != "timeout" {
		t.Errorf("error is %+v, want a time-out", re)
	}
	failures := 0
	for range 50 {
		clock = clock.Add(time.Second) // now and then the rest of the hanging one is over
		if _, err := sink.Send(t.Context(), documents(1)); err != nil {
			failures++
		}
	}
	if failures != 0 {
		t.Errorf("%d of 50 batches failed though another node is well", failures)
	}
	if n := sink.Nodes()[1]; !n.Failing || !strings.Contains(n.Error, "deadline") {
		t.Errorf("node is %+v", n)
	}
}

// All addresses out of reach: one error, which parks only when no node would come back by itself.
func TestSink_Send_NoNode(t *testing.T) {
	web := httptest.NewUnstartedServer(status(200, ""))
	web.Config.ErrorLog = quiet
	web.StartTLS()
	defer web.Close()
	refused := "http://" + closedAddress(t)
	for name, tt := range map[string]struct {
		addresses []string
		want      flush.Verdict
	}{
		"certificates":             {[]string{web.URL, strings.Replace(web.URL, "127.0.0.1", "localhost", 1)}, flush.Park},
		"one may come back":        {[]string{web.URL, refused}, flush.Retry},
		"one may come back, first": {[]string{refused, web.URL}, flush.Retry},
	} {
		sink, err := elastic.New(elastic.Options{Addresses: tt.addresses})
		if err != nil {
			t.Fatal(err)
		}
		var re *flush.RequestError
		for range 3 {
			outcomes, err := sink.Send(t.Context(), documents(1))
			re = requestError(t, outcomes, err)
		}
		if re.Verdict != tt.want {
			t.Errorf("%s: error is %+v, want %s", name, re, tt.want)
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	}
}
