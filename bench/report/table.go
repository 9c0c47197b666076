package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// TableWidth is what Table keeps to where nobody says how wide the terminal is.
const TableWidth = 160

// Table writes the report for a terminal: a table for each case, continued below where it would be wider than width.
func (r *Report) Table(w io.Writer, width int) error {
	var b strings.Builder
	for i := range r.Cases {
		c := &r.Cases[i]
		b.WriteString(c.Scenario + ": " + c.Name + "\n")
		for _, part := range split(c.cells(filled([]Case{*c}), "%s\n%s"), width) {
			b.WriteString(render(part, 1) + "\n")
		}
		b.WriteString("\n")
	}
	for _, line := range r.explained() {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n" + r.Machine.String() + "\n" + r.origin() + "\n")
	for _, note := range r.Notes {
		b.WriteString(note + "\n")
	}
	for _, f := range r.Failures {
		b.WriteString("FAILED: " + f + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// filled returns the columns that say something of at least one row.
func filled(cases []Case) (used []*column) {
	for k := range columns {
		if slices.ContainsFunc(cases, func(c Case) bool {
			return slices.ContainsFunc(c.Rows, func(r Row) bool { value, _ := columns[k].cell(&c, &r); return value != "" })
		}) {
			used = append(used, &columns[k])
		}
	}
	return used
}

// cells are the rows of a case below their heading. with is the format of a figure and the spread of its rounds.
func (c *Case) cells(used []*column, with string) [][]string {
	lines := [][]string{{"target"}}
	for _, col := range used {
		lines[0] = append(lines[0], col.name)
	}
	for j := range c.Rows {
		r := &c.Rows[j]
		line := []string{r.Target}
		for _, col := range used {
			value, spread := col.cell(c, r)
			if spread != "" {
				value = fmt.Sprintf(with, value, spread)
			}
			line = append(line, value)
		}
		lines = append(lines, line)
	}
	return lines
}

// edges is what go-pretty draws beside each cell, and once more at the end of the line.
const edges = 3

// split cuts cells into tables that keep to width where they can; each begins with the first column, the name.
func split(cells [][]string, width int) (parts [][][]string) {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for k, cell := range line {
			widths[k] = max(widths[k], text.LongestLineLen(cell)+edges)
		}
	}
	for from := 1; from < len(widths); {
		to, used := from+1, 1+widths[0]+widths[from]
		for ; to < len(widths) && used+widths[to] <= width; to++ {
			used += widths[to]
		}
		var part [][]string
		for _, line := range cells {
			part = append(part, append([]string{line[0]}, line[from:to]...))
		}
		parts = append(parts, part)
		from = to
	}
	return parts
}

// render draws a table; the first line of cells is its heading, its first columns are names and the others figures.
func render(cells [][]string, names int) string {
	tw := table.NewWriter()
	tw.SetStyle(table.StyleLight)
	tw.Style().Format.Header = text.FormatDefault
	tw.AppendHeader(tableRow(cells[0]))
	for _, line := range cells[1:] {
		tw.AppendRow(tableRow(line))
	}
	tw.SetColumnConfigs(rightAligned(names+1, len(cells[0])))
	return tw.Render()
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i := range cells {
		row[i] = cells[i]
	}
	return row
}

// rightAligned sets columns, which count from 1.
func rightAligned(from, to int) (configs []table.ColumnConfig) {
	for i := from; i <= to; i++ {
		configs = append(configs, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

// explained says what the columns of this report mean, one line for those that mean the same.
func (r *Report) explained() (lines []string) {
	used := filled(r.Cases)
	for len(used) > 0 {
		means := used[0].means
		var names []string
		used = slices.DeleteFunc(used, func(c *column) bool {
			if c.means == means {
				names = append(names, c.name)
			}
			return c.means == means
		})
		lines = append(lines, strings.Join(names, ", ")+": "+means)
	}
	return append(lines, "Figures are medians of the rounds; beside them, or below, the least and the greatest.")
}

func (r *Report) origin() string {
	return fmt.Sprintf("%s, %s, took %.0f s", r.Weir, r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Seconds)
}
