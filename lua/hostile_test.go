package lua

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

var hostileTable = flag.Bool("hostile.table", false, "run the hostile scripts in the default limits, one after the other, "+
	"and write what they took into docs/testing.md")

// TestTransform_Hostile: each script must end by a limit, the message must say which and where, and the next
// event, in whatever state it then meets, must not notice.
func TestTransform_Hostile(t *testing.T) {
	var rows bytes.Buffer
	for _, h := range slices.Concat(hostileScripts, libraryScripts) {
		t.Run(h.name, func(t *testing.T) {
			opts := Options{Timeout: 30 * time.Millisecond}
			if h.kind == typeMemory { // however slow the machine
				opts.Timeout, opts.MaxMemory = time.Minute, 4<<20
			}
			if *hostileTable {
				opts = Options{}
			}
			h.end(t, opts, &rows)
		})
	}
	if *hostileTable {
		writeHostileTable(t, rows.Bytes())
	}
}

// end runs the script and adds a row to the table.
func (h hostileScript) end(t *testing.T, opts Options, rows *bytes.Buffer) {
	t.Helper()
	s, err := Compile("script.lua", []byte("state = {} function transform(event, meta)\nif event.hostile then\n"+h.script+"\nend\nevent.ok = true return event\nend"), opts)
	if err != nil {
		t.Fatal(err)
	}
	// The processor time of this thread, with its share of the garbage collection.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rec := record(h.event())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := threadTime()
	_, _, err = s.Transform(rec)
	took := threadTime() - begin
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	var te *flush.TransformError
	if !errors.As(err, &te) {
		t.Fatalf("it was not stopped: %v", err)
	}
	if !strings.Contains(h.kind, te.Type) && !(*hostileTable && strings.Contains(either, te.Type)) {
		t.Fatalf("stopped by %s (%s), want %s", te.Type, te.Message, h.kind)
	}
	if !strings.Contains(te.Message, "script.lua:") || te.Type != typeError && !strings.Contains(te.Message, "than its limit of ") {
		t.Errorf("the message does not say which limit and where: %s", te.Message)
	}
	t.Logf("%s after %v of processor time, %v more than the limit of time, %d KiB allocated: %s", te.Type, took.Round(time.Millisecond),
		(took - s.opts.Timeout).Round(time.Millisecond), allocated>>10, te.Message)
	fmt.Fprintf(rows, "| %s | `%s` | %d | %.1f |\n", h.name, te.Type, took.Milliseconds(), float64(allocated)/(1<<20))
	if *hostileTable && took > 2*s.opts.Timeout {
		t.Errorf("it took %v, more than twice its limit", took)
	}
	if c := s.prog.compiled; max(c.regexes.Len(), c.groks.Len(), c.formats.Len()) > maxCompiled {
		t.Error("too many compiled patterns are kept")
	}
	s.prog.compiled = newCompiled() // they are meant to outlive the event
	runtime.GC()
	runtime.GC() // what regexp keeps for its next match goes with the second
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 && te.Type != typeError { // an error leaves the state in use
		t.Errorf("%d KiB are not given back", kept>>10)
	}
	if got := sources(t, s, `{"a":1.0}`); got[0] != `{"a":1.0,"ok":true}` {
		t.Fatalf("the next event suffers: %s", got)
	}
}

// writeHostileTable puts the rows between the marks in docs/testing.md.
func writeHostileTable(t *testing.T, rows []byte) {
	const path, from, to = "../docs/testing.md", "<!-- hostile scripts: generated -->\n", "<!-- end -->"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := bytes.Cut(doc, []byte(from))
	_, tail, closed := bytes.Cut(rest, []byte(to))
	if !found || !closed {
		t.Fatalf("%s has no marks for the table", path)
	}
	doc = bytes.Join([][]byte{head, []byte(from + "| script | ends as | ms | MiB |\n| --- | --- | ---: | ---: |\n"), rows, []byte(to), tail}, nil)
	if err := os.WriteFile(path, doc, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTransform_KeepsNoMore: what events pile up in a table of the script goes with its state, in time.
func TestTransform_KeepsNoMore(t *testing.T) {
	for _, tc := range []struct{ name, keep string }{
		{"in a list", `kept[#kept + 1] = string.rep("x", 1000)`},
		{"by names", `kept[meta.offset .. event.a .. #kept] = {event.a}`},
		{"in closures", `local u = string.rep("x", 1000) local f = kept.f kept.f = function() return u, f end`},
		{"in coroutines", `kept[#kept + 1] = coroutine.create(function() end)`},
		{"numbers", `for i = 1, 100 do kept[#kept + 1] = i + 0.5 end`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := Options{Timeout: time.Minute, MaxMemory: 1 << 20}
			s, err := Compile("script.lua", []byte("local kept = {}\nfunction transform(event, meta) "+tc.keep+" return event end"), opts)
			if err != nil {
				t.Fatal(err)
			}
			states, rec := map[*worker]bool{}, record(`{"a":1.0}`)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := 0; len(states) < 4; i++ {
				if _, _, err := s.Transform(rec); err != nil {
					t.Fatal(err)
				}
				if i > 100_000 {
					t.Fatal("the state is not made anew")
				}
				states[s.w] = true
			}
			clear(states)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
				t.Errorf("%d KiB are kept", kept>>10)
			}
		})
	}
}

// TestTransform_CoroutinesPayForRegisters: a coroutine has room for as many values as its calls ever held.
func TestTransform_CoroutinesPayForRegisters(t *testing.T) {
	s, err := Compile("script.lua", []byte(body(`local values, kept = {}, {}
		for i = 1, 7000 do values[i] = true end
		local function hold(...) coroutine.yield() return ... end
		while true do
			local co = coroutine.wrap(function() return hold(unpack(values)) end)
			co()
			kept[#kept + 1] = co
		end`)), Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err = s.Transform(record(`{}`)); err == nil || !strings.Contains(err.Error(), typeMemory) {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := int64(after.TotalAlloc - before.TotalAlloc); allocated > 3*s.opts.MaxMemory {
		t.Errorf("%d MiB were allocated in a limit of %d", allocated>>20, s.opts.MaxMemory>>20)
	}
}
