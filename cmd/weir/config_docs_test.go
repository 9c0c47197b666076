package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/configuration.md has a row for every key, with its variable and its default, and none for others.
func TestConfigurationPage_NamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if name, ok := strings.CutPrefix(strings.TrimSpace(cells[0]), "`"); ok && strings.HasPrefix(line, "| ") {
			rows[strings.TrimSuffix(name, "`")] = cells[1:]
		}
	}
	defaults := DefaultConfig()
	for _, k := range configKeys {
		cells, ok := rows[k.path]
		delete(rows, k.path)
		if !ok {
			t.Errorf("no row for %s", k.path)
			continue
		}
		for i, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: column %d is empty", k.path, i+2)
			}
		}
		if global, ok := strings.CutPrefix(k.path, streamsPrefix); ok {
			if cells[0] != "`"+global+"`" || len(cells) != 3 {
				t.Errorf("%s: row %q", k.path, cells)
			}
			continue
		}
		value := strings.Trim(fmt.Sprint(defaults.value(k.path).Interface()), "[]")
		if (k.typ == typeList || k.typ == typeHeaders) && value == "" {
			value = "[]"
		} else if value == "" {
			value = `""`
		}
		if len(cells) != 4 || cells[0] != "`"+k.variable()+"`" || cells[1] != "`"+value+"`" {
			t.Errorf("%s: row %q, want variable %s and default %s", k.path, cells, k.variable(), value)
		}
	}
	for name := range rows {
		t.Errorf("a row for %s, which is no key", name)
	}
}
