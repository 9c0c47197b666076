package main

// diffLine is a line of a comparison: '-' is only before, '+' only after, ' ' in both.
type diffLine struct {
	mark byte
	text string
}

// diffCells bounds the table of diffLines; larger texts are shown as replaced, but for what begins and
// ends alike.
const diffCells = 4 << 20

// diffLines compares two texts by their longest common subsequence of lines.
func diffLines(before, after []string) []diffLine {
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

func diffMiddle(before, after []string) []diffLine {
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
