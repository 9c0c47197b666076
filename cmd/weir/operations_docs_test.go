package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// readDoc returns a page below docs/.
func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sections returns the text below each second-level heading, by its anchor.
func sections(page string) map[string]string {
	found := map[string]string{}
	for _, part := range strings.Split(page, "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		anchor := strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		found[anchor] = text
	}
	return found
}

// TestOperationsPage_EveryAlert has a page of its own, which says what it means and what to do.
func TestOperationsPage_EveryAlert(t *testing.T) {
	page := readDoc(t, "operations.md")
	pages := sections(page)
	alerts := strings.Split(pages["what-to-alert-on"], "- alert: ")[1:]
	if len(alerts) < 10 {
		t.Fatalf("%d alerts found", len(alerts))
	}
	for _, rule := range alerts {
		name, _, _ := strings.Cut(rule, "\n")
		link := regexp.MustCompile(`runbook: "operations\.md#([a-z-]+)"`).FindStringSubmatch(rule)
		if link == nil {
			t.Errorf("%s has no runbook", name)
			continue
		}
		text, ok := pages[link[1]]
		if !ok {
			t.Errorf("%s: the page has no section #%s", name, link[1])
			continue
		}
		for _, want := range []string{"| alert | `" + name + "`", "| sees |", "| means |", "| costs |", "1. "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: its section #%s lacks %q", name, link[1], want)
			}
		}
		if !strings.Contains(text, "Expected afterwards") && !strings.Contains(text, "othing has to be done for weir to run") {
			t.Errorf("%s: its section #%s does not say what to expect", name, link[1])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z0-9-]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, ok := pages[link[1]]; !ok {
			t.Errorf("a link to #%s leads nowhere", link[1])
		}
	}
}

// TestOperationsPage_EveryMetric that the page names is one that weir has, with the labels that it names.
func TestOperationsPage_EveryMetric(t *testing.T) {
	described := map[string]string{}
	for _, s := range []*testService{startService(t), startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1")} {
		ch := make(chan *prometheus.Desc, 1000)
		s.registry.Describe(ch)
		close(ch)
		for d := range ch {
			if name := regexp.MustCompile(`fqName: "([a-z_0-9]+)"`).FindStringSubmatch(d.String()); name != nil {
				described[name[1]] = d.String()
			}
		}
	}
	for _, use := range regexp.MustCompile(`(?:weir|process)_[a-z_]+(\{[^}]*\})?`).FindAllStringSubmatch(readDoc(t, "operations.md"), -1) {
		name := strings.TrimSuffix(use[0], use[1])
		desc, ok := described[name]
		for _, suffix := range []string{"_sum", "_count", "_bucket"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && !ok {
				desc, ok = described[base]
			}
		}
		if !ok {
			t.Errorf("there is no metric %s", name)
			continue
		}
		for _, label := range regexp.MustCompile(`[{,] *([a-z_]+)`).FindAllStringSubmatch(use[1], -1) {
			_, labels, _ := strings.Cut(desc, "variableLabels: ")
			if !regexp.MustCompile(`\b` + label[1] + `\b`).MatchString(labels) {
				t.Errorf("%s has no label %s: %s", name, label[1], labels)
			}
		}
	}
}

// TestFormatPage_LinksAndGoldenFiles: links lead somewhere, and every golden file that the page names is there.
func TestFormatPage_LinksAndGoldenFiles(t *testing.T) {
	page := readDoc(t, "format.md")
	anchors := map[string]bool{}
	for _, title := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(page, -1) {
		anchors[strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(title[1]), ""), " ", "-")] = true
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z0-9-]+)\)`).FindAllStringSubmatch(page, -1) {
		if !anchors[link[1]] {
			t.Errorf("a link to #%s leads nowhere", link[1])
		}
	}
	for _, name := range []string{
		"wal/testdata/frame.v1", "flush/deadletter/testdata/record-v1-*.hex", "flush/checkpoint/testdata/state-v1.hex", "flush/checkpoint/testdata/state-v2.hex",
		"flush/checkpoint/testdata/home-v1.hex", "flush/deadletter/testdata/index-state-v1.hex", "flush/deadletter/testdata/index-entry-v1.hex",
	} {
		if files, err := filepath.Glob(filepath.Join("..", "..", name)); err != nil || len(files) == 0 || !strings.Contains(page, filepath.Base(name)) {
			t.Errorf("golden file %s: %v, %v", name, files, err)
		}
	}
}
