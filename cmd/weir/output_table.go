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
	rows    [][]string
}

// newTable starts a table. A header that begins with ">" marks a column of numbers, set to the right.
func newTable(headers ...string) *tableView {
	t := &tableView{right: make([]bool, len(headers))}
	for i, h := range headers {
		name, right := strings.CutPrefix(h, ">")
		t.headers = append(t.headers, name)
		t.right[i] = right
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
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minColumnWidth {
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
