package main

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// tableView prints rows under headers, fitted to the terminal. Where there is no terminal, lines are
// whole and have no frame, so that they can be cut and searched. Cells may hold anything: they are
// made printable here.
type tableView struct {
	headers []string
	right   []bool
	whole   []bool // never narrowed: people copy what stands there
	rows    [][]string
}

// newTable starts a table. A header that begins with ">" marks a column of numbers, set to the right; one
// that begins with "=" a column that is never cut.
func newTable(headers ...string) *tableView {
	t := &tableView{right: make([]bool, len(headers)), whole: make([]bool, len(headers))}
	for i, h := range headers {
		h, t.right[i] = strings.CutPrefix(h, ">")
		h, t.whole[i] = strings.CutPrefix(h, "=")
		t.headers = append(t.headers, h)
	}
	return t
}

// add appends a row; it must have a cell for each header.
func (t *tableView) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	t.rows = append(t.rows, row)
}

// render prints the table to w, which is width columns wide; 0 for no terminal.
func (t *tableView) render(w io.Writer, width int) error {
	tw := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatUpper
	tw.SetStyle(style)
	tw.SetColumnConfigs(t.columns(width))
	header := make(table.Row, len(t.headers))
	for i, h := range t.headers {
		header[i] = h
	}
	tw.AppendHeader(header)
	for _, row := range t.rows {
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		tw.AppendRow(cells)
	}
	for line := range strings.Lines(tw.Render() + "\n") {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

const minColumnWidth = 6

// columns narrows the widest columns, one step at a time, until a line fits.
func (t *tableView) columns(width int) []table.ColumnConfig {
	widths := make([]int, len(t.headers))
	total := 0
	for i, h := range t.headers {
		widths[i] = text.StringWidthWithoutEscSequences(h)
		for _, row := range t.rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(row[i]))
		}
		total += widths[i] + 2
	}
	for total-2 > width && width > 0 {
		widest := -1
		for i := range widths {
			if !t.whole[i] && widths[i] > minColumnWidth && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	configs := make([]table.ColumnConfig, len(widths))
	for i := range widths {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: widths[i], WidthMaxEnforcer: snip}
		if t.right[i] {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	return configs
}

func snip(cell string, width int) string { return text.Snip(cell, width, "…") }
