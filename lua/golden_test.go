package lua

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs the tests of every script of testdata, then the script over its events, in the limits that an
// event has by default. The scripts are the recipes of docs/lua.md.
func TestGolden(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(scripts) < 12 {
		t.Fatal(scripts, err)
	}
	for _, path := range scripts {
		name := strings.TrimSuffix(filepath.Base(path), ".lua")
		t.Run(name, func(t *testing.T) {
			s, err := Load(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if passTests(t, s) == 0 {
				t.Error("the script has no tests of its own")
			}
			events, err := os.ReadFile("testdata/" + name + ".ndjson")
			if err != nil {
				t.Fatal(err)
			}
			got := outcomes(s, events)
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// outcomes writes what becomes of each event, a line for each document.
func outcomes(s *Script, events []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(events) {
		docs, _, err := s.Transform(record(string(bytes.TrimSuffix(line, []byte("\n")))))
		switch {
		case err != nil:
			fmt.Fprintf(&out, "failed %v\n", err)
		case len(docs) == 0:
			out.WriteString("dropped\n")
		}
		for _, d := range docs {
			fmt.Fprintf(&out, "index=%s id=%s pipeline=%s routing=%s %s\n", d.Index, d.ID, d.Pipeline, d.Routing, d.Source)
		}
	}
	return out.Bytes()
}
