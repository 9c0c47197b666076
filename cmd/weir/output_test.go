package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPrintable_HostileText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain ü 日本 🎉", "plain ü 日本 🎉"},
		{"\x1b[2J\x1b]0;title\x07", `\x1b[2J\x1b]0;title\a`},
		{"a\r\nb\tc\x00", `a\r\nb\tc\x00`},
		{"\u009b31m", `\u009b31m`},
		{"user\u202egnp.exe", `user\u202egnp.exe`},
		{"\u2066a\u2069\u200b\ufeff", `\u2066a\u2069\u200b\ufeff`},
		{"bad \xff\xc3", `bad \xff\xc3`},
		{"\ufffd is itself", "\ufffd is itself"},
		{"\u2028", `\u2028`},
	}
	for _, tt := range tests {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[0m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n\r\x00\x7f\u009b\u202e\u2066") {
			t.Errorf("printable(%q) = %q", s, got)
		}
	})
}

func exampleTable() *tableView {
	table := newTable("key", ">bytes", "reason")
	table.add("a-1", "12", "short")
	table.add("a-2", "1,234", strings.Repeat("long ", 30)+"\x1b[31m")
	return table
}

func TestTable_Render_WithoutATerminal_IsPlainAndWhole(t *testing.T) {
	var out bytes.Buffer
	if err := exampleTable().render(&out, 0); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "KEY  BYTES  REASON" || lines[1] != "a-1     12  short" || !strings.HasPrefix(lines[2], "a-2  1,234  long long") ||
		!strings.HasSuffix(lines[2], `long \x1b[31m`) || len(lines) != 4 {
		t.Errorf("table\n%s", out.String())
	}
}

func TestTable_Render_FitsTheTerminal(t *testing.T) {
	for _, width := range []int{20, 40, 80} {
		var out bytes.Buffer
		if err := exampleTable().render(&out, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("a line of %d columns for a terminal of %d:\n%s", n, width, out.String())
			}
		}
		if !strings.Contains(out.String(), "…") || !strings.Contains(out.String(), "1,234") {
			t.Errorf("width %d:\n%s", width, out.String())
		}
	}
}

func TestTable_Render_WithoutRows(t *testing.T) {
	var out bytes.Buffer
	if err := newTable("a", "b").render(&out, 80); err != nil || out.String() != "A  B\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestWriteList_NothingIsAnEmptyList(t *testing.T) {
	var out bytes.Buffer
	if err := writeList[int](&out, outputJSON, nil); err != nil || out.String() != "[]\n" {
		t.Errorf("json: %q, %v", out.String(), err)
	}
	out.Reset()
	if err := writeList(&out, outputNDJSON, []string{"<a>", "b"}); err != nil || out.String() != "\"<a>\"\n\"b\"\n" {
		t.Errorf("ndjson: %q, %v", out.String(), err)
	}
}

func TestHumanDurationAndAgo(t *testing.T) {
	now := time.Unix(1e9, 0)
	for d, want := range map[time.Duration]string{0: "0s", 1500 * time.Microsecond: "2ms", 12340 * time.Millisecond: "12.3s", 90 * time.Minute: "1h30m", 50 * time.Hour: "2d2h"} {
		if got := humanDuration(d); got != want {
			t.Errorf("humanDuration(%v) = %s, want %s", d, got, want)
		}
	}
	for at, want := range map[time.Time]string{{}: "never", now.Add(-90 * time.Second): "1m30s ago", now.Add(time.Minute): "in 1m"} {
		if got := ago(now, at); got != want {
			t.Errorf("ago(%v) = %s, want %s", at, got, want)
		}
	}
}
