package main

import (
	"slices"
	"strings"
)

// diffLine is a line of a comparison: '-' is only before, '+' only after, ' ' in both.
type diffLine struct {
	mark byte
	textLine
}

// textLine is a line of a JSON text. Lines are alike when what they are nested in is alike too: a bracket that
// closes one member is not that of another.
type textLine struct {
	text   string
	parent int // number in lineNumbers of the line that opened what this one stands in or closes; 0 outside of everything
}

// lineNumbers numbers the lines that open something, alike ones alike, from 1 on.
type lineNumbers struct {
	of    map[textLine]int
	lines []textLine // by number - 1
}

func (n *lineNumbers) number(line textLine) int {
	if n.of[line] == 0 {
		n.lines = append(n.lines, line)
		n.of[line] = len(n.lines)
	}
	return n.of[line]
}

// chain are the numbers of all that a line with this parent is nested in, the outermost first.
func (n *lineNumbers) chain(parent int) []int {
	var chain []int
	for ; parent != 0; parent = n.lines[parent-1].parent {
		chain = append(chain, parent)
	}
	slices.Reverse(chain)
	return chain
}

// split cuts a JSON text into lines without the commas at their ends, which would make a difference of every
// member that gets one behind it; an empty text has no lines.
func (n *lineNumbers) split(s string) []textLine {
	if s == "" {
		return nil
	}
	var lines []textLine
	parent := 0
	for text := range strings.SplitSeq(s, "\n") {
		text = strings.TrimSuffix(text, ",")
		line := textLine{text, parent}
		lines = append(lines, line)
		switch {
		case opens(text):
			parent = n.number(line)
		case closes(text) && parent != 0:
			parent = n.lines[parent-1].parent
		}
	}
	return lines
}

func opens(line string) bool { return strings.HasSuffix(line, "{") || strings.HasSuffix(line, "[") }

func closes(line string) bool {
	line = strings.TrimLeft(line, " ")
	return line == "}" || line == "]"
}

// changedLines are the lines in which two JSON texts differ, each below the lines that it is nested in, which have
// the mark ' ' where they did not change. Nothing is left of texts that are alike.
func changedLines(before, after string) []diffLine {
	n := &lineNumbers{of: map[textLine]int{}}
	var changed []diffLine
	var shown []int // the lines that are open where the last shown line stands
	for _, l := range diffLines(n.split(before), n.split(after)) {
		chain := n.chain(l.parent)
		shown = shown[:commonLength(shown, chain)]
		if l.mark == ' ' {
			continue
		}
		for _, open := range chain[len(shown):] {
			if line := n.lines[open-1]; line.parent != 0 { // the outermost bracket says nothing
				changed = append(changed, diffLine{' ', line})
			}
		}
		shown = chain
		changed = append(changed, l)
		if opens(l.text) {
			shown = append(shown, n.of[l.textLine])
		}
	}
	return changed
}

func commonLength(a, b []int) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// diffCells bounds the table of diffLines; larger texts are shown as replaced, but for what begins and
// ends alike.
const diffCells = 4 << 20

// diffLines compares two texts by their longest common subsequence of lines.
func diffLines(before, after []textLine) []diffLine {
	var head, tail []diffLine
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		head = append(head, diffLine{' ', before[0]})
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		tail = append(tail, diffLine{' ', before[len(before)-1]})
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	lines := append(head, diffMiddle(before, after)...)
	for i := len(tail) - 1; i >= 0; i-- {
		lines = append(lines, tail[i])
	}
	return lines
}

func diffMiddle(before, after []textLine) []diffLine {
	var lines []diffLine
	n, m := len(before), len(after)
	if n*m <= diffCells {
		// common[i*(m+1)+j] is the length of what before[i:] and after[j:] have in common.
		common := make([]int32, (n+1)*(m+1))
		for i := n - 1; i >= 0; i-- {
			for j := m - 1; j >= 0; j-- {
				if before[i] == after[j] {
					common[i*(m+1)+j] = common[(i+1)*(m+1)+j+1] + 1
				} else {
					common[i*(m+1)+j] = max(common[(i+1)*(m+1)+j], common[i*(m+1)+j+1])
				}
			}
		}
		i, j := 0, 0
		for i < n && j < m {
			switch {
			case before[i] == after[j]:
				lines = append(lines, diffLine{' ', before[i]})
				i, j = i+1, j+1
			case common[(i+1)*(m+1)+j] >= common[i*(m+1)+j+1]:
				lines = append(lines, diffLine{'-', before[i]})
				i++
			default:
				lines = append(lines, diffLine{'+', after[j]})
				j++
			}
		}
		before, after = before[i:], after[j:]
	}
	for _, text := range before {
		lines = append(lines, diffLine{'-', text})
	}
	for _, text := range after {
		lines = append(lines, diffLine{'+', text})
	}
	return lines
}
