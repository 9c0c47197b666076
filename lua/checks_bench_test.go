package lua

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/weirlog/weir/wal"
)

// unchecked compiles a script as gopher-lua does, without the calls of the rewriter, for a state that asks
// nobody before each instruction. Library and view are the same.
func unchecked(b *testing.B, source []byte) *Script {
	b.Helper()
	chunk, err := parse.Parse(bytes.NewReader(source), "script.lua")
	if err != nil {
		b.Fatal(err)
	}
	prog := &program{name: "script.lua"}
	if prog.proto, err = glua.Compile(chunk, prog.name); err != nil {
		b.Fatal(err)
	}
	s := &Script{prog: prog, opts: Options{MaxMemory: 1 << 40}.withDefaults()}
	if s.w, err = newWorker(prog, &s.opts); err != nil {
		b.Fatal(err)
	}
	s.w.L.RemoveContext()
	return s
}

// BenchmarkChecks compares processor time with all checks and without those of instructions, assignments,
// concatenations and constructors. Both run in turns, so that what else the machine does strikes both.
func BenchmarkChecks(b *testing.B) {
	const turn = 200
	for name, events := range honestScripts(b) {
		b.Run("script="+name, func(b *testing.B) {
			source, err := os.ReadFile("testdata/" + name + ".lua")
			if err != nil {
				b.Fatal(err)
			}
			with, err := Compile("script.lua", source, Options{})
			if err != nil {
				b.Fatal(err)
			}
			without := unchecked(b, source)
			for i := range events {
				checkSameDocuments(b, with, without, &events[i])
			}
			var checked, plain float64
			for first := true; b.Loop(); first = !first {
				if first {
					checked += timed(b, with, events, turn)
				}
				plain += timed(b, without, events, turn)
				if !first {
					checked += timed(b, with, events, turn)
				}
			}
			b.ReportMetric(100*(checked-plain)/plain, "%more")
			b.ReportMetric(1e9*checked/float64(b.N*turn), "ns/event")
			b.ReportMetric(1e9*plain/float64(b.N*turn), "ns/unchecked")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// timed is the processor time of n events.
func timed(b *testing.B, s *Script, events []wal.Record, n int) float64 {
	begin := processTime()
	for i := range n {
		if _, _, err := s.Transform(&events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
	}
	return processTime() - begin
}

func checkSameDocuments(b *testing.B, x, y *Script, rec *wal.Record) {
	b.Helper()
	one, _, err1 := x.Transform(rec)
	two, _, err2 := y.Transform(rec)
	if err1 != nil || err2 != nil || len(one) != len(two) {
		b.Fatal(err1, err2, len(one), len(two))
	}
	for i := range one {
		if !bytes.Equal(one[i].Source, two[i].Source) {
			b.Fatalf("%s is not %s", one[i].Source, two[i].Source)
		}
	}
}

// honestScripts are those of testdata with their events that end well.
func honestScripts(b *testing.B) map[string][]wal.Record {
	b.Helper()
	out := map[string][]wal.Record{}
	paths, err := filepath.Glob("testdata/*.lua")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range paths {
		s, err := Load(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".lua")
		lines, err := os.ReadFile("testdata/" + name + ".ndjson")
		if err != nil {
			b.Fatal(err)
		}
		for line := range bytes.Lines(append(lines, monolog...)) {
			rec := record(string(bytes.TrimSpace(line)))
			if _, _, err := s.Transform(rec); err == nil {
				out[name] = append(out[name], *rec)
			}
		}
	}
	return out
}
