package lua

import "strings"

// maxNearName bounds the names that are compared.
const maxNearName = 40

// maxHints bounds how many names of a script are compared with all others.
const maxHints = 100

// nearest returns the candidate that a misspelt name most probably means, "" for none. The first of equals wins.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", maxNearName
	for _, c := range candidates {
		if d, ok := nearness(name, c); ok && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// nearness counts the mistakes that lead from one name to another. Not ok: too many for names of their length.
func nearness(written, meant string) (int, bool) {
	if written == meant || len(written) > maxNearName || len(meant) > maxNearName {
		return 0, false
	}
	a, b := plainName(written), plainName(meant)
	if a == b {
		return 0, true
	}
	shorter := min(len(a), len(b))
	allowed := min(2, shorter/3)
	if len(a)-len(b) > allowed || len(b)-len(a) > allowed {
		return 0, false
	}
	d := mistakes(a, b)
	return d, d <= allowed
}

// plainName forgives what differs between languages: receivedAt for received_at.
func plainName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// mistakes is the number of letters that are missing, too many, wrong, or two of them swapped.
func mistakes(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// nearGlobal names what a name that is no global may have meant: a local that is visible there, a global of
// the script, or one of weir's.
func (l *linter) nearGlobal(name string, env *binding) string {
	if l.hints++; l.hints > maxHints {
		return ""
	}
	locals := map[string]*binding{}
	var names []string
	for b := env; b != nil; b = b.outer {
		if locals[b.name] == nil {
			locals[b.name] = b
			names = append(names, b.name)
		}
	}
	for _, w := range l.writes {
		if w.fn.main {
			names = append(names, w.name)
		}
	}
	near := nearest(name, append(names, l.known.sorted...))
	if b := locals[near]; b != nil {
		return "the " + b.String()
	}
	return near
}
