package flush

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDeliveryPage_Table compares the table of docs/delivery.md with the one that decides.
func TestDeliveryPage_Table(t *testing.T) {
	page, err := os.ReadFile("../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, m := range Meanings() {
		fmt.Fprintln(&want, row(&m))
	}
	_, rest, _ := strings.Cut(string(page), "| about | status | type | reason begins | meaning | why |\n| --- | --- | --- | --- | --- | --- |\n")
	got, _, _ := strings.Cut(rest, "\n\n")
	if got+"\n" != want.String() {
		t.Errorf("docs/delivery.md has\n%s\n\nthe code has\n%s", got, want.String())
	}
}

func row(m *Meaning) string {
	status := fmt.Sprint(m.From)
	switch {
	case m.Level == LevelConnection && m.Cause == "":
		status = "any other"
	case m.Level == LevelConnection:
		status = "`" + m.Cause + "`"
	case m.To != m.From:
		status = fmt.Sprintf("%d–%d", m.From, m.To)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | **%s** | %s |", m.Level, status, code(m.Type), code(m.Prefix), m.Verdict, m.Why)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
