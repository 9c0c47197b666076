package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/wal"
)

// memoryLog is an Appender that keeps what it is given.
type memoryLog struct {
	mu       sync.Mutex
	events   []string
	rejected []string
}

var _ ingest.Appender = (*memoryLog)(nil)

func (l *memoryLog) Append(_ context.Context, _ wal.Origin, events []wal.Event) (wal.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if e.Flags&wal.FlagRejected != 0 {
			l.rejected = append(l.rejected, string(e.Payload))
		} else {
			l.events = append(l.events, string(e.Payload))
		}
	}
	return 1, nil
}

func (l *memoryLog) Ready() error { return nil }

// What send posts is what the real endpoint understands, and its answers are what send expects.
func TestSend_IntoTheRealEndpoint(t *testing.T) {
	log := &memoryLog{}
	server, err := ingest.New(ingest.Options{Log: log, Listen: []string{"127.0.0.1:0"}, MaxEventBytes: 2000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	large := `{"a":"` + strings.Repeat("x", 3000) + `"}`
	url := "http://" + server.Addrs()[0].String()
	tests := []struct {
		name, content  string
		args           []string
		code           int
		accepted, dead int
		says           string
	}{
		{"lines", "{\"a\":1.0}\n{\"b\":2}\n", nil, exitDone, 2, 0, ""},
		{"compressed lines", "{\"a\":1.0}\n{\"b\":2}\n", []string{"--gzip"}, exitDone, 2, 0, ""},
		{"array over lines", "[{\n\"a\":1.0},\n{\"b\":[\n]}]", nil, exitDone, 2, 0, ""},
		{"array with a broken event", "[{\"a\":1},\n{\"b\":tru},\n{\"c\":3}]", nil, exitDone, 2, 1, ":2: malformed_json"},
		{"array over lines with a broken event", "[{\"a\":\n1},\n{\"b\":tru},\n{\"c\":3}]", nil, exitFailed, 2, 0, ":3: malformed_json"},
		{"lines with a broken one", "{\"a\":1}\n{\"b\":tru}\n{\"c\":3}", nil, exitDone, 2, 1, ":2: malformed_json"},
		{"a broken line alone", "{\"b\":tru}", nil, exitFailed, 0, 0, ":1: malformed_json"},
		{"an event over the limit", "{\"a\":1}\n" + large + "\n{\"c\":3}", []string{"--max-event-bytes", "2000"}, exitFailed, 2, 0, ":2: event_too_large"},
		{"plain text", "a\nb\xff\n", []string{"--lines"}, exitDone, 2, 0, ""},
		{"unknown stream", "{}", []string{"--stream", "nobody"}, exitFailed, 0, 0, "404 Not Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log.events, log.rejected = nil, nil
			path := writeFile(t, t.TempDir(), "e", tt.content)
			code, stdout, stderr := newTestApp(t).exec(t.Context(), append([]string{"send", "--url", url, path}, tt.args...)...)
			if code != tt.code || len(log.events) != tt.accepted || len(log.rejected) != tt.dead || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d, events %q, rejected %q\n%s%s", code, log.events, log.rejected, stdout, stderr)
			}
		})
	}
}
