package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// testService is a service that runs in the test's process, in a data directory of its own.
type testService struct {
	*service
	t       testing.TB
	environ []string
	client  *http.Client
	end     func() // stops it in order; may be called twice
}

// serviceEnviron is a configuration with free ports.
func serviceEnviron(dataDir string, more ...string) []string {
	return append([]string{
		"WEIR_DATA_DIR=" + dataDir, "WEIR_INGEST_LISTEN=127.0.0.1:0", "WEIR_ADMIN_LISTEN=127.0.0.1:0", "WEIR_FLUSH_LINGER=1ms",
	}, more...)
}

func startService(t testing.TB, more ...string) *testService {
	t.Helper()
	return startServiceIn(t, filepath.Join(t.TempDir(), "data"), more...)
}

func startServiceIn(t testing.TB, dataDir string, more ...string) *testService {
	t.Helper()
	return startServiceLogging(t, slog.New(slog.DiscardHandler), dataDir, more...)
}

func startServiceLogging(t testing.TB, logger *slog.Logger, dataDir string, more ...string) *testService {
	t.Helper()
	return startServiceWith(t, logger, "", dataDir, more...)
}

// startServiceWith starts a service with a configuration file; "" for none.
func startServiceWith(t testing.TB, logger *slog.Logger, config, dataDir string, more ...string) *testService {
	t.Helper()
	environ := serviceEnviron(dataDir, more...)
	load := func() (*Config, error) { return LoadConfig(configSources{File: config, Environ: environ}) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openService(cfg, logger, new(slog.LevelVar), load)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	ts := &testService{service: s, t: t, environ: environ, client: &http.Client{Transport: &http.Transport{}}}
	ts.end = sync.OnceFunc(func() {
		ts.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop service: %v", err)
		}
	})
	t.Cleanup(ts.end)
	return ts
}

// letterAt returns a letter of stage index whose event the embedded destination takes.
func (s *testService) letterAt(offset wal.Offset, event string) flush.Letter {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Add(time.Duration(offset) * time.Second)
	return flush.Letter{
		Key: flush.Key{Epoch: s.service.log.Epoch(), Offset: offset}, Records: 1, Stage: flush.StageIndex, Status: 400,
		Type: "mapper_parsing_exception", Reason: "failed to parse field [level]", Attempts: 1, FirstAt: at, LastAt: at,
		Stream: DefaultStream, Destination: "embedded", Index: "logs-weir-default", Of: 1, ReceivedAt: at, Event: []byte(event), Document: []byte(event),
	}
}

func (s *testService) putLetters(letters ...flush.Letter) {
	s.t.Helper()
	if err := s.letters.Put(s.t.Context(), letters); err != nil {
		s.t.Fatal(err)
	}
}

// refuse puts a refused body and returns its key.
func (s *testService) refuseBody(body string) flush.Key {
	s.t.Helper()
	key, err := s.refused.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	l := s.letterAt(1, body)
	l.Key, l.Stage, l.Type, l.Reason, l.Document, l.Index = key, flush.StageIngest, "malformed_json", "byte 0: no value", nil, ""
	if err := s.refused.Put(s.t.Context(), []flush.Letter{l}); err != nil {
		s.t.Fatal(err)
	}
	return key
}

// store puts an event into the embedded destination.
func (s *testService) storeEvent(id, event string) {
	s.t.Helper()
	out, err := s.sinkOf(DefaultStream).Send(s.t.Context(), []flush.Document{{
		Index: "logs-weir-default", ID: id, Stream: DefaultStream, ReceivedAt: time.Now(), Source: []byte(event),
	}})
	if err != nil || out[0].Verdict != flush.Delivered {
		s.t.Fatalf("store %s: %+v %v", event, out, err)
	}
}

// answer is what the admin listener said.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with the header that changes need. header pairs are added; Host sets the host.
func (s *testService) ask(method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.admin.Addr()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(changeHeader, "1")
	for i := 0; i < len(header); i += 2 {
		switch {
		case header[i] == "Host":
			req.Host = header[i+1]
		case header[i+1] == "":
			req.Header.Del(header[i])
		default:
			req.Header.Add(header[i], header[i+1])
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// code returns the code of an error answer.
func (a answer) code(t testing.TB) string {
	t.Helper()
	var e errorBody
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" {
		t.Fatalf("%d is no error in JSON: %q (%v)", a.status, a.body, err)
	}
	return e.Error.Code
}

// decodeLines reads a value from every line.
func decodeLines[T any](t testing.TB, text string) []T {
	t.Helper()
	var list []T
	for dec := json.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var v T
		err := dec.Decode(&v)
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		list = append(list, v)
	}
}

// lockedBuffer is a buffer that a service's goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
