package lua

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// wildValues are what a sender may put anywhere.
var wildValues = []string{
	`null`, `true`, `false`, `0`, `1.5`, `9007199254740993`, `1e400`, `-1e400`, `""`, `"x"`, `"1e999"`, `"\u0000\ufffd"`,
	`[]`, `[1,[2,null]]`, `["a"]`, `{}`, `{"":1}`, `{"a":{"b":[]}}`, `{"name":{}}`, `{"date":1,"timezone":[]}`,
	`{"class":[],"message":{},"trace":[{"line":null},7],"previous":{"class":1}}`, `{"full":7}`,
}

// wildNames are the members that the worked scripts read or write.
var wildNames = []string{
	"message", "level", "level_name", "channel", "datetime", "context", "extra", "tags", "labels", "items", "order",
	"@timestamp", "event", "error", "log", "service", "user", "url", "http", "client", "host", "process", "php", "aws", "cloud", "tls",
	"user_agent", "ecs",
}

// wildInner are members of context and extra.
var wildInner = []string{
	"request", "exception", "user_id", "user", "action", "ok", "object", "tenant", "ip", "url", "status", "service", "pid", "line", "a.b", "",
}

// wildEvents are events of which one member is not what a script expects.
func wildEvents() []string {
	var events []string
	for _, v := range wildValues {
		if strings.HasPrefix(v, "{") { // ingest takes nothing else for an event
			events = append(events, v)
		}
		for _, name := range wildNames {
			events = append(events, fmt.Sprintf(`{"channel":"audit","%s":%s,"context":{"action":"login","user_id":1,"note":"x"}}`, name, v))
		}
		for _, name := range wildInner {
			for _, outer := range []string{"context", "extra"} {
				events = append(events, fmt.Sprintf(`{"channel":"audit","%s":{"action":"login","%s":%s}}`, outer, name, v))
			}
		}
	}
	return events
}

// TestRecipes_TakeAnyEvent throws odd events at the worked scripts: whatever a sender does, a recipe makes no
// dead letters of it. Only the example of the contract is as short as can be, and fails on what it does not expect.
func TestRecipes_TakeAnyEvent(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	events := wildEvents()
	for _, path := range scripts {
		if filepath.Base(path) == "contract.lua" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".lua"), func(t *testing.T) {
			s, err := Load(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range events {
				if _, _, err := s.Transform(record(event)); err != nil {
					t.Errorf("%s: %v", event, err)
				}
			}
		})
	}
}
