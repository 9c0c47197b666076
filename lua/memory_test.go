package lua

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

// maxWorkerBytes is what one worker may keep on the heap between two events.
const maxWorkerBytes = 8 << 20

// TestWorker_KeepsLittle lets workers live until they are worn, or for 100,000 events, and weighs them then.
func TestWorker_KeepsLittle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		source string
		events [][]byte
	}{
		{"the contract's script", contractScript, [][]byte{[]byte(monolog)}},
		{"the largest script of testdata", largestScript(t), largestEvents(t)},
		{"events of a megabyte", body(`for k, v in pairs(event) do event[k] = v end event.x = event.text .. "x"`), [][]byte{wideEvent(1 << 20)}},
		{"a full state", "state = { n = 0 }\n" + body(`state.n = state.n + 1 if state.n < 9000 then state["key/" .. state.n] = ("x"):rep(32) .. state.n end`),
			[][]byte{[]byte(monolog)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bytes, events := weigh(t, tt.source, tt.events)
			t.Logf("%d bytes after %d events", bytes, events)
			if bytes > maxWorkerBytes {
				t.Errorf("a worker keeps %d bytes after %d events, more than %d", bytes, events, maxWorkerBytes)
			}
		})
	}
}

// weigh returns what a worker keeps after a life of events, and how many these were.
func weigh(t *testing.T, source string, payloads [][]byte) (bytes int64, events int) {
	t.Helper()
	prog, err := compile("script.lua", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Timeout: time.Minute}.withDefaults() // however slow the machine
	var workers [2]*worker                               // several, so that what else is on the heap does not count
	before := heap()
	for i := range workers {
		w, err := newWorker(prog, &opts)
		if err != nil {
			t.Fatal(err)
		}
		workers[i] = w
		events = live(t, w, payloads)
	}
	bytes = (heap() - before) / int64(len(workers))
	runtime.KeepAlive(workers)
	return bytes, events
}

// live gives events to a worker until it is worn.
func live(t *testing.T, w *worker, payloads [][]byte) (events int) {
	t.Helper()
	for events < 100_000 {
		rec := wal.Record{Offset: wal.Offset(events + 1), Stream: "default", Payload: payloads[events%len(payloads)], Count: 1}
		_, usable, err := w.run(&rec)
		if events++; err != nil {
			t.Fatalf("event %d: %v", events, err)
		}
		if !usable {
			break
		}
	}
	return events
}

// heap is what is in use once everything else was collected.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// largestScript is the longest script in testdata, largestEvents are the events beside it that it does not fail on.
func largestScript(t *testing.T) string {
	t.Helper()
	return string(largest(t, ".lua"))
}

func largestEvents(t *testing.T) (good [][]byte) {
	t.Helper()
	s := mustCompile(t, largestScript(t))
	for _, line := range bytes.Split(bytes.TrimSpace(largest(t, ".ndjson")), []byte("\n")) {
		if _, _, err := s.Transform(&wal.Record{Offset: 1, Stream: "default", Payload: line, Count: 1}); err == nil {
			good = append(good, line)
		}
	}
	if len(good) == 0 {
		t.Fatal("no event passes the script")
	}
	return good
}

// largest returns the file of that kind beside the largest script.
func largest(t *testing.T, kind string) (text []byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	size := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(source) <= size {
			continue
		}
		size = len(source)
		if text, err = os.ReadFile(strings.TrimSuffix(file, ".lua") + kind); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// wideEvent is an event of about size bytes with very many members.
func wideEvent(size int) []byte {
	b := []byte(`{"text":"` + strings.Repeat("x", size/4) + `"`)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, `,"f%d":{"n":%d.0,"s":"value %d"}`, i, i, i)
	}
	return append(b, '}')
}
