package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report for a document, with the pictures given, which lie beside it.
func (r *Report) Markdown(w io.Writer, charts ...Chart) error {
	var b strings.Builder
	for i := 0; i < len(r.Cases); {
		scenario, from := r.Cases[i].Scenario, i
		for i < len(r.Cases) && r.Cases[i].Scenario == scenario {
			i++
		}
		b.WriteString("### " + scenario + "\n\n")
		scenarioMarkdown(&b, r.Cases[from:i])
		for _, c := range charts {
			if c.Scenario == scenario {
				fmt.Fprintf(&b, "![%s](%s)\n\n", c.Title, c.File)
			}
		}
	}
	for _, line := range r.explained() {
		b.WriteString("- " + line + "\n")
	}
	b.WriteString("\n" + r.Machine.String() + "\n\n`" + r.Command + "`\n\n" + r.origin() + "\n")
	for _, note := range r.Notes {
		b.WriteString("\n" + note + "\n")
	}
	for _, f := range r.Failures {
		b.WriteString("\n**Failed:** " + f + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write Markdown: %w", err)
	}
	return nil
}

// scenarioMarkdown writes one table of all cases of a scenario.
func scenarioMarkdown(b *strings.Builder, cases []Case) {
	used := filled(cases)
	for i := range cases {
		lines := cases[i].cells(used, "%s (%s)")
		if i == 0 {
			markdownRow(b, append([]string{"case"}, lines[0]...))
			b.WriteString("| --- | --- |" + strings.Repeat(" ---: |", len(used)) + "\n")
		}
		for _, line := range lines[1:] {
			markdownRow(b, append([]string{cases[i].Name}, line...))
		}
	}
	b.WriteString("\n")
}

func markdownRow(b *strings.Builder, cells []string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}
