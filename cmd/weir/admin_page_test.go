package main

import (
	"html"
	"net/url"
	"strings"
	"testing"
)

// hostileText is what log content might hold to get at the people who read it.
const hostileText = `</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>" onfocus=alert(1) x="` + "\x1b]0;pwned\x07\u202e{{.}}"

func TestPage_HostileContentIsText(t *testing.T) {
	s := startService(t)
	text := strings.NewReplacer(`"`, `\"`, "\x1b", `\u001b`, "\x07", `\u0007`).Replace(hostileText)
	s.storeEvent("<b>id", `{"message":"`+text+` needle","<script>alert(2)</script>":1}`)
	l := s.letterAt(10, `{}`)
	l.Type, l.Reason = hostileText, hostileText
	s.putLetters(l)
	for _, path := range []string{"/", "/?q=needle", "/?q=" + url.QueryEscape(hostileText)} {
		got := s.ask("GET", path, "")
		if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: %d %s", path, got.status, got.header)
		}
		for _, bad := range []string{"<script>alert", "<img", `" onfocus`, "\x1b", "\x07", "\u202e", "<b>id"} {
			if strings.Contains(got.body, bad) {
				t.Errorf("%s: the page holds %q as it is", path, bad)
			}
		}
		if strings.Contains(got.body, " style=") || strings.Contains(got.body, "<style") {
			t.Errorf("%s: the page has a style that its policy forbids", path)
		}
	}
	found := html.UnescapeString(s.ask("GET", "/?q=needle", "").body)
	if !strings.Contains(found, "1 found in") || !strings.Contains(found, "<script>alert(2)</script>") {
		t.Error("the event is not shown whole")
	}
}

func TestPage_ShowsWhatIsHeldUp(t *testing.T) {
	s := startService(t, "WEIR_WAL_MIN_FREE_BYTES=1024TiB")
	page := s.ask("GET", "/", "").body
	for _, want := range []string{"refusing", "new events are refused with 503", "There are none.", "The embedded store", "weir dlq ls", "docs/operations.md"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if q := s.ask("GET", "/?q=%2B%22open", ""); q.status != 200 || !strings.Contains(q.body, `class="why bad">query`) {
		t.Errorf("a broken query is not explained: %d", q.status)
	}
}

func TestPage_Assets(t *testing.T) {
	s := startService(t)
	for name, contentType := range assetTypes {
		got := s.ask("GET", "/assets/"+name, "")
		if got.status != 200 || got.header.Get("Content-Type") != contentType || len(got.body) == 0 {
			t.Errorf("%s: %d %s", name, got.status, got.header)
		}
		if !strings.Contains(s.ask("GET", "/", "").body, `"/assets/`+name+`"`) {
			t.Errorf("the page does not use %s", name)
		}
	}
}

func TestSummarise(t *testing.T) {
	for source, want := range map[string]string{
		`{"message":"hello","level_name":"INFO","channel":"app"}`: "INFO  app  hello",
		`{"message":{"a":1}}`: `{"message":{"a":1}}`,
		`{"x":1}`:             `{"x":1}`,
		`{"message":"` + strings.Repeat("é", 300) + `"}`: strings.Repeat("é", 120) + "…",
	} {
		if got := summarise([]byte(source)); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}
