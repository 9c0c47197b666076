package elastic_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// quiet is for servers whose refused handshakes are what is tested.
var quiet = log.New(io.Discard, "", 0)

func documents(n int) []flush.Document {
	docs := make([]flush.Document, n)
	for i := range docs {
		docs[i] = flush.Document{
			Index:  "logs-weir-default",
			ID:     fmt.Sprintf("0000000000c0ffee-%d", i+1),
			Source: fmt.Appendf(nil, `{"n":%d,"message":"%s"}`, i, strings.Repeat("m", 300)),
		}
	}
	return docs
}

// requestError returns the error of a Send that failed as a whole.
func requestError(t *testing.T, outcomes []flush.Outcome, err error) *flush.RequestError {
	t.Helper()
	var re *flush.RequestError
	if !errors.As(err, &re) {
		t.Fatalf("error is %v (%T), outcomes are %v; want a RequestError", err, err, outcomes)
	}
	if outcomes != nil {
		t.Errorf("%d outcomes beside an error", len(outcomes))
	}
	return re
}

const jsonError = `{"error":{"root_cause":[],"type":%q,"reason":%q},"status":%d}`

func TestSink_Send_RequestFails(t *testing.T) {
	const html = "<html><head><title>502 Bad Gateway</title></head></html>"
	tests := []struct {
		name   string
		fault  elastictest.Fault
		want   flush.RequestError // Err is not compared
		stored bool
		says   string
	}{
		{"too large", elastictest.Fault{Status: 413},
			flush.RequestError{Cause: "status_413", Status: 413, Verdict: flush.Split}, false, "413"},
		{"content refused", elastictest.Fault{Status: 400, Body: fmt.Sprintf(jsonError, "action_request_validation_exception", "id is too long", 400)},
			flush.RequestError{Cause: "status_400", Status: 400, Verdict: flush.Split, Type: "action_request_validation_exception"}, false, "id is too long"},
		{"a 400 about a parameter is not about the content", elastictest.Fault{Status: 400, Body: fmt.Sprintf(jsonError, "illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [x]", 400)},
			flush.RequestError{Cause: "status_400", Status: 400, Verdict: flush.Park, Type: "illegal_argument_exception"}, false, "unrecognized"},
		{"a 400 of a proxy that lost the body is not about the content", elastictest.Fault{Status: 400, Body: fmt.Sprintf(jsonError, "parse_exception", "request body is required", 400)},
			flush.RequestError{Cause: "status_400", Status: 400, Verdict: flush.Park, Type: "parse_exception"}, false, "body is required"},
		{"a 400 of a proxy is not about the content", elastictest.Fault{Status: 400, Body: html, ContentType: "text/html"},
			flush.RequestError{Cause: "status_400", Status: 400, Verdict: flush.Park}, false, "web page"},
		{"a wrong path is not about the content", elastictest.Fault{Status: 400, Body: `{"error":"no handler found for uri [/x/_bulk] and method [POST]"}`},
			flush.RequestError{Cause: "status_400", Status: 400, Verdict: flush.Park}, false, "no handler"},
		{"credentials", elastictest.Fault{Status: 401, Body: fmt.Sprintf(jsonError, "security_exception", "unable to authenticate", 401)},
			flush.RequestError{Cause: "status_401", Status: 401, Verdict: flush.Park, Type: "security_exception"}, false, "unable to authenticate"},
		{"forbidden", elastictest.Fault{Status: 403, Body: fmt.Sprintf(jsonError, "security_exception", "is unauthorized", 403)},
			flush.RequestError{Cause: "status_403", Status: 403, Verdict: flush.Park, Type: "security_exception"}, false, "unauthorized"},
		{"not found", elastictest.Fault{Status: 404, Body: "404 page not found", ContentType: "text/plain"},
			flush.RequestError{Cause: "status_404", Status: 404, Verdict: flush.Park}, false, "page not found"},
		{"content type refused", elastictest.Fault{Status: 406},
			flush.RequestError{Cause: "status_406", Status: 406, Verdict: flush.Park}, false, "406"},
		{"unusual status", elastictest.Fault{Status: 418},
			flush.RequestError{Cause: "status_4xx", Status: 418, Verdict: flush.Park}, false, "418"},
		{"redirect", elastictest.Fault{Status: 301, Location: "https://elsewhere/"},
			flush.RequestError{Cause: "redirect", Status: 301, Verdict: flush.Park}, false, "https://elsewhere/"},
		{"too many requests", elastictest.Fault{Status: 429, RetryAfter: "7", Body: fmt.Sprintf(jsonError, "es_rejected_execution_exception", "full", 429)},
			flush.RequestError{Cause: "status_429", Status: 429, RetryAfter: 7 * time.Second, Type: "es_rejected_execution_exception"}, false, "full"},
		{"unavailable", elastictest.Fault{Status: 503, RetryAfter: "120"},
			flush.RequestError{Cause: "status_503", Status: 503, RetryAfter: 2 * time.Minute}, false, "503"},
		{"bad gateway with a page", elastictest.Fault{Status: 502, Body: html, ContentType: "text/html"},
			flush.RequestError{Cause: "status_502", Status: 502}, false, "502 Bad Gateway"},
		{"unusual server error", elastictest.Fault{Status: 599},
			flush.RequestError{Cause: "status_5xx", Status: 599}, false, "599"},
		{"accepted without an answer", elastictest.Fault{Status: 202, Body: "{}"},
			flush.RequestError{Cause: "untrusted", Status: 202}, false, "202"},
		{"no content", elastictest.Fault{Status: 204},
			flush.RequestError{Cause: "untrusted", Status: 204}, false, "204"},
		{"a page instead of the answer", elastictest.Fault{Mangle: func([]byte) []byte { return []byte(html) }},
			flush.RequestError{Cause: "untrusted", Status: 200}, true, "web page"},
		{"an empty answer", elastictest.Fault{Mangle: func([]byte) []byte { return nil }},
			flush.RequestError{Cause: "untrusted", Status: 200}, true, "empty"},
		{"one item too few", elastictest.Fault{Mangle: func(b []byte) []byte {
			return append(b[:len(b)-2-len(`,{"create":{"_id":"0000000000c0ffee-9","status":201}}`)], "]}"...)
		}},
			flush.RequestError{Cause: "untrusted", Status: 200}, true, "8 items for 9 documents"},
		{"an answer without end", elastictest.Fault{Mangle: func(b []byte) []byte { return append(b, strings.Repeat(" ", 5<<20)...) }},
			flush.RequestError{Cause: "untrusted"}, true, "longer than"},
		{"no answer, nothing stored", elastictest.Fault{CutBefore: true},
			flush.RequestError{Cause: "closed"}, false, "EOF"},
		{"reset, nothing stored", elastictest.Fault{CutBefore: true, Reset: true},
			flush.RequestError{Cause: "reset"}, false, "reset"},
		{"answer lost", elastictest.Fault{CutAfter: true},
			flush.RequestError{Cause: "closed"}, true, "EOF"},
		{"answer cut", elastictest.Fault{CutAnswer: true},
			flush.RequestError{Cause: "closed"}, true, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := elastictest.Start(t, elastictest.Options{
				Request: func(elastictest.Request) elastictest.Fault { return tt.fault },
			})
			sink := newSink(t, server)
			docs := documents(9)
			outcomes, err := sink.Send(t.Context(), docs)
			got := requestError(t, outcomes, err)
			if !strings.Contains(got.Error(), tt.says) {
				t.Errorf("error %q does not say %q", got, tt.says)
			}
			if len(got.Error()) > 1500 {
				t.Errorf("error of %d bytes", len(got.Error()))
			}
			bare := *got
			bare.Err = nil
			if bare != tt.want {
				t.Errorf("error is %+v, want %+v", bare, tt.want)
			}
			if n := server.Stats().Requests; n != 1 {
				t.Errorf("%d requests for one Send", n)
			}
			wantStored, verdict := 0, flush.Delivered
			if tt.stored {
				wantStored, verdict = 9, flush.Duplicate
			}
			if n := len(server.Docs()); n != wantStored {
				t.Errorf("%d documents are stored, want %d", n, wantStored)
			}
			server.SetRequest(nil)
			checkVerdicts(t, sink, docs, verdict) // trying again mends it
			if n := len(server.Docs()); n != 9 {
				t.Errorf("%d documents are stored in the end, want 9", n)
			}
		})
	}
}

func checkVerdicts(t *testing.T, sink *elastic.Sink, docs []flush.Document, want flush.Verdict) {
	t.Helper()
	outcomes, err := sink.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != len(docs) {
		t.Fatalf("%d outcomes for %d documents", len(outcomes), len(docs))
	}
	for i, o := range outcomes {
		if o.Verdict != want {
			t.Fatalf("document %d is %+v, want %s", i, o, want)
		}
	}
}

func TestSink_Send_ItemsFail(t *testing.T) {
	server := elastictest.Start(t, elastictest.Options{Item: func(it elastictest.Item) elastictest.Answer {
		switch {
		case strings.HasSuffix(it.ID, "-2"):
			return elastictest.Answer{Status: 400, Type: "document_parsing_exception", Reason: "bad\nmapping"}
		case strings.HasSuffix(it.ID, "-3") && it.Attempt == 1:
			return elastictest.Answer{Status: 429, Type: "es_rejected_execution_exception", Reason: "full"}
		case strings.HasSuffix(it.ID, "-4"):
			return elastictest.Answer{Status: 201, FailureStore: "used"}
		}
		return elastictest.Answer{}
	}})
	sink := newSink(t, server)
	want := [][]flush.Outcome{{
		{Verdict: flush.Delivered, Status: 201},
		{Verdict: flush.Permanent, Status: 400, Type: "document_parsing_exception", Reason: "bad\nmapping"},
		{Verdict: flush.Retry, Status: 429, Type: "es_rejected_execution_exception", Reason: "full"},
		{Verdict: flush.Delivered, Status: 201, FailureStore: "used"},
	}, {
		{Verdict: flush.Duplicate, Status: 409, Type: "version_conflict_engine_exception"},
		{Verdict: flush.Permanent, Status: 400, Type: "document_parsing_exception", Reason: "bad\nmapping"},
		{Verdict: flush.Delivered, Status: 201},
		{Verdict: flush.Duplicate, Status: 409, Type: "version_conflict_engine_exception"},
	}}
	for round := range want {
		got, err := sink.Send(t.Context(), documents(4))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != want[round][i] {
				t.Errorf("round %d, document %d: %+v, want %+v", round, i, got[i], want[round][i])
			}
		}
	}
}

func TestSink_Send_AfterCancel_ReadsNothing(t *testing.T) {
	release := make(chan struct{})
	held := make(chan struct{}, 1)
	server := elastictest.Start(t, elastictest.Options{Request: func(elastictest.Request) elastictest.Fault {
		held <- struct{}{}
		return elastictest.Fault{Wait: release}
	}})
	sink := newSink(t, server)
	docs := documents(100)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	go func() {
		<-held
		cancel(stopping)
	}()
	outcomes, err := sink.Send(ctx, docs)
	re := requestError(t, outcomes, err)
	if re.Cause != "canceled" || !errors.Is(err, stopping) {
		t.Errorf("error is %+v, want the context's cause", re)
	}
	close(release)
}

// A peer that reads slowly must not see the memory of the next batch in the rest of this one: with the race
// detector, overwriting the sources after Send returned would be a race if anybody still read them.
func TestSink_Send_CancelledWhileWriting(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, stop, finished := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 100))
		close(started)
		<-stop // reads no more: the sender's buffers fill up
	}()
	defer func() {
		close(stop)
		ln.Close()
		<-finished
	}()
	sink, err := elastic.New(elastic.Options{Addresses: []string{"http://" + ln.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	docs := documents(100_000)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	outcomes, err := sink.Send(ctx, docs)
	if re := requestError(t, outcomes, err); re.Cause != "canceled" {
		t.Errorf("cause is %s", re.Cause)
	}
	for i := range docs {
		clear(docs[i].Source)
	}
}

func TestSink_Send_TimesOut(t *testing.T) {
	release := make(chan struct{})
	server := elastictest.Start(t, elastictest.Options{Request: func(elastictest.Request) elastictest.Fault {
		return elastictest.Fault{Wait: release}
	}})
	defer close(release)
	sink := newSink(t, server, func(o *elastic.Options) { o.RequestTimeout = 20 * time.Millisecond })
	outcomes, err := sink.Send(t.Context(), documents(1))
	if re := requestError(t, outcomes, err); re.Cause != "timeout" || re.Parked() {
		t.Errorf("error is %+v, want a time-out", re)
	}
}

func TestSink_Send_Refused(t *testing.T) {
	sink, err := elastic.New(elastic.Options{Addresses: []string{"http://" + closedAddress(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	outcomes, err := sink.Send(t.Context(), documents(1))
	if re := requestError(t, outcomes, err); re.Cause != "refused" || re.Parked() {
		t.Errorf("error is %+v, want refused", re)
	}
}

// closedAddress returns an address at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestSink_Send_Credentials(t *testing.T) {
	for name, tt := range map[string]struct {
		header string
		change func(*elastic.Options)
	}{
		"basic":   {"Basic dTpw", func(o *elastic.Options) { o.Username, o.Password = "u", "p" }},
		"API key": {"APIKey aWQ6a2V5", func(o *elastic.Options) { o.APIKey = "aWQ6a2V5" }},
		"address": {"Basic dTpw", func(o *elastic.Options) {
			o.Addresses[0] = strings.Replace(o.Addresses[0], "://", "://u:p@", 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := elastictest.Start(t, elastictest.Options{Authorization: tt.header})
			sink := newSink(t, server, tt.change)
			checkVerdicts(t, sink, documents(3), flush.Delivered)
			if strings.Contains(sink.Name(), "u:p") {
				t.Errorf("name %q holds credentials", sink.Name())
			}
			outcomes, err := newSink(t, server).Send(t.Context(), documents(3))
			if re := requestError(t, outcomes, err); re.Status != 401 || !re.Parked() {
				t.Errorf("without credentials the error is %+v", re)
			}
		})
	}
}

func TestSink_Send_Request(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Clone(context.WithoutCancel(r.Context())))
		fmt.Fprint(w, `{"errors":false,"items":[{"create":{"_id":"0000000000c0ffee-1","status":201}}]}`)
	}))
	defer web.Close()
	sink, err := elastic.New(elastic.Options{
		Addresses: []string{web.URL + "/prefix/"}, UserAgent: "weir/1", Compression: elastic.CompressionGzip,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	checkVerdicts(t, sink, documents(1), flush.Delivered)
	r := seen.Load()
	if r.Method != "POST" || r.URL.Path != "/prefix/_bulk" {
		t.Errorf("request is %s %s", r.Method, r.URL.Path)
	}
	if r.ContentLength <= 0 || len(r.TransferEncoding) != 0 {
		t.Errorf("content length %d, transfer encoding %v; want a known length", r.ContentLength, r.TransferEncoding)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-ndjson", "Accept": "application/json", "User-Agent": "weir/1",
		"Content-Encoding": "gzip", "Accept-Encoding": "", "X-Elastic-Client-Meta": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := "errors,items.*._id,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason,items.*.failure_store"
	if got := r.URL.Query().Get("filter_path"); got != want {
		t.Errorf("filter_path is %s, want %s", got, want)
	}
}

func TestSink_TLS(t *testing.T) {
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"errors":false,"items":[{"create":{"_id":"0000000000c0ffee-1","status":201}}]}`)
	}))
	web.Config.ErrorLog = quiet
	web.StartTLS()
	defer web.Close()
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	trusting, err := elastic.New(elastic.Options{Addresses: []string{web.URL}, CAFile: caFile})
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	checkVerdicts(t, trusting, documents(1), flush.Delivered)

	plain := elastictest.Start(t, elastictest.Options{})
	for name, address := range map[string]string{
		"unknown authority":        web.URL,
		"https to a plain address": strings.Replace(plain.URL(), "http:", "https:", 1),
	} {
		sink, err := elastic.New(elastic.Options{Addresses: []string{address}})
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		outcomes, err := sink.Send(t.Context(), documents(1))
		if re := requestError(t, outcomes, err); re.Cause != "tls" || !re.Parked() {
			t.Errorf("%s: error is %+v, want tls for the operator", name, re)
		}
	}
}

func TestSink_Metrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	server := elastictest.Start(t, elastictest.Options{})
	sink := newSink(t, server, func(o *elastic.Options) { o.Metrics = elastic.NewMetrics(reg) })
	checkVerdicts(t, sink, documents(10), flush.Delivered)
	want := fmt.Sprintf(`
		# HELP weir_elastic_sent_bytes_total Bytes of bulk request bodies as sent, after compression.
		# TYPE weir_elastic_sent_bytes_total counter
		weir_elastic_sent_bytes_total %d
	`, server.Stats().Bytes)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "weir_elastic_sent_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestNew_Faults(t *testing.T) {
	const secret = "s3cret"
	for name, tt := range map[string]struct {
		opts elastic.Options
		says []string
	}{
		"no address":  {elastic.Options{}, []string{"no address"}},
		"no scheme":   {elastic.Options{Addresses: []string{"localhost:9200"}}, []string{"address 1", "scheme"}},
		"no host":     {elastic.Options{Addresses: []string{"http://"}}, []string{"no host"}},
		"other":       {elastic.Options{Addresses: []string{"ftp://x"}}, []string{"scheme"}},
		"query":       {elastic.Options{Addresses: []string{"http://x:9200?a=b"}}, []string{"query"}},
		"broken":      {elastic.Options{Addresses: []string{"http://u:" + secret + "@x:port"}}, []string{"not a URL"}},
		"half a user": {elastic.Options{Addresses: []string{"http://x"}, Username: "u"}, []string{"belong together"}},
		"all at once": {elastic.Options{Addresses: []string{"http://a", "b", "c"}, Username: "u", Password: secret, APIKey: secret,
			RequestTimeout: -1, Compression: "zip"}, []string{"address 2", "address 3", "exclude", "negative", "zip"}},
		"cloud and addresses": {elastic.Options{Addresses: []string{"http://x"}, CloudID: "x:" + secret}, []string{"exclude", "not a cloud id"}},
		"options of TLS": {elastic.Options{Addresses: []string{"https://x"}, CAFile: os.DevNull, CAFingerprint: "00:11", ClientKeyFile: "k"},
			[]string{"CA file and CA fingerprint exclude", "64 hex digits", "client certificate and client key"}},
		"proxy":             {elastic.Options{Addresses: []string{"https://x"}, ProxyURL: "ftp://u:" + secret + "@x"}, []string{"scheme of the proxy"}},
		"header":            {elastic.Options{Addresses: []string{"https://x"}, Headers: http.Header{"X-A": {secret + "\n"}, "Content-Type": {secret}}}, []string{"X-A", "Content-Type belongs"}},
		"header's name":     {elastic.Options{Addresses: []string{"https://x"}, Headers: http.Header{"a " + secret: {secret}}}, []string{"letters, digits and hyphens"}},
		"credentials twice": {elastic.Options{Addresses: []string{"https://x"}, APIKey: secret, Headers: http.Header{"authorization": {secret}}}, []string{"excludes user name and API key"}},
		"no client certificate": {elastic.Options{Addresses: []string{"https://x"}, ClientCertFile: "/nonexistent", ClientKeyFile: "/nonexistent"},
			[]string{"client certificate", "/nonexistent"}},
		"no CA file": {elastic.Options{Addresses: []string{"https://x"}, CAFile: "/nonexistent"}, []string{"certificate authorities", "/nonexistent"}},
		"empty CA":   {elastic.Options{Addresses: []string{"https://x"}, CAFile: os.DevNull}, []string{"no PEM"}},
	} {
		sink, err := elastic.New(tt.opts)
		if err == nil {
			sink.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		for _, s := range tt.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: error %q does not say %q", name, err, s)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %q holds a secret", name, err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	for _, compression := range []elastic.Compression{elastic.CompressionNone, elastic.CompressionGzip, elastic.CompressionZstd} {
		b.Run("docs=5000/compression="+string(compression), func(b *testing.B) {
			server := elastictest.NewServer(elastictest.Options{Keep: elastictest.KeepNothing, OpenSearch: true})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(ln) }()
			defer func() {
				server.Close()
				if err := <-served; err != nil {
					b.Error(err)
				}
			}()
			sink, err := elastic.New(elastic.Options{Addresses: []string{"http://" + ln.Addr().String()}, Compression: compression})
			if err != nil {
				b.Fatal(err)
			}
			defer sink.Close()
			docs := documents(5000)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sink.Send(b.Context(), docs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(docs))/b.Elapsed().Seconds(), "docs/s")
		})
	}
}
