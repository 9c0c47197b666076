package lua

import "strings"

// hint says where a match of a pattern cannot begin, so that most places of a text need not be tried. It says
// nothing about patterns that could fail with an error somewhere: these are tried everywhere.
type hint struct {
	first    [256]bool // what the first character of a match can be
	firstAt  int       // where the item that says so stands in the pattern, -1 when none does
	firstEnd int
	need     int // a character that every match holds, -1 when none is known
}

const (
	// hintedPattern is the length of the longest pattern that gets a hint: shorter than one that could be too complex.
	hintedPattern = maxRecurse - 1
	// hintedText is the length of the shortest text that is worth one.
	hintedText = 8
	// keptHints is how many patterns are remembered; a script has few, but it may make them of its events.
	keptHints = 64
	// hintSteps is the price of making a hint.
	hintSteps = 64
)

// hintFor returns the hint of a pattern, nil when there is none.
func (w *worker) hintFor(m *matcher) *hint {
	if len(m.pat) > hintedPattern || len(m.src) < hintedText {
		return nil
	}
	h, known := w.hints[m.pat]
	if !known {
		w.step(m.L, hintSteps)
		if len(w.hints) >= keptHints || w.hints == nil {
			w.hints = make(map[string]*hint, 8)
		}
		h = m.study()
		w.hints[strings.Clone(m.pat)] = h // the pattern may be a piece of a large text
	}
	return h
}

// study makes the hint of the pattern; nil when it has none.
func (m *matcher) study() *hint {
	h := &hint{firstAt: -1, need: -1}
	if !h.walk(m) || h.firstAt < 0 && h.need < 0 {
		return nil
	}
	if h.firstAt >= 0 {
		for c := range h.first {
			h.first[c] = m.single(byte(c), h.firstAt, h.firstEnd)
		}
	}
	return h
}

// walk passes over the items of the pattern; false when one of them could fail with an error, or is none that
// hints are made of.
func (h *hint) walk(m *matcher) bool {
	pat, begun := m.pat, false // begun: a character may have been matched
	open, captures := 0, 0
	for p := 0; p < len(pat); {
		switch c := pat[p]; {
		case c == '^' && p == 0, c == '%' && !h.plainEscape(pat[p:]):
			return false
		case c == '(':
			captures++
			open++
			p++
			continue
		case c == ')':
			if open--; open < 0 {
				return false
			}
			p++
			continue
		case c == '$' && p+1 == len(pat):
			p++
			continue
		}
		end := classEnd(pat, p)
		if end < 0 {
			return false
		}
		optional := end < len(pat) && strings.IndexByte("?*-", pat[end]) >= 0
		if !optional {
			h.mandatory(pat, p, end, begun)
		}
		begun = true
		if p = end; optional || end < len(pat) && pat[end] == '+' {
			p++
		}
	}
	return open == 0 && captures < maxCaptures
}

// plainEscape reports whether the item behind a % is a class or a character, no %b, %f or %1.
func (h *hint) plainEscape(pat string) bool {
	return len(pat) > 1 && pat[1] != 'b' && pat[1] != 'f' && !isDigit(pat[1])
}

// mandatory notes an item that every match has.
func (h *hint) mandatory(pat string, p, end int, begun bool) {
	if !begun {
		h.firstAt, h.firstEnd = p, end
	}
	c := pat[end-1]
	literal := end == p+1 && c != '.' || end == p+2 && pat[p] == '%' && !isAlpha(c)
	if literal && (h.need < 0 || rarity(c) > rarity(byte(h.need))) {
		h.need = int(c)
	}
}

// rarity orders characters by how seldom they are in texts, roughly.
func rarity(c byte) int {
	switch {
	case c == ' ':
		return 0
	case isAlpha(c), isDigit(c):
		return 1
	}
	return 2
}

// classEnd returns the position behind the single character class at p, -1 when it has no end.
func classEnd(pat string, p int) int {
	switch pat[p] {
	case '%':
		return p + 2 // plainEscape has seen that there is something
	case '[':
	default:
		return p + 1
	}
	if p++; p < len(pat) && pat[p] == '^' {
		p++
	}
	for first := true; p < len(pat); first = false {
		switch c := pat[p]; {
		case c == ']' && !first:
			return p + 1
		case c == '%':
			p += 2
		default:
			p++
		}
	}
	return -1
}

// next returns the first position from s on where a match may begin; false when there is none.
func (m *matcher) next(s int) (int, bool) {
	h := m.hint
	if h == nil {
		return s, true
	}
	if h.need >= 0 && m.needAt < s {
		i := strings.IndexByte(m.src[s:], byte(h.need))
		m.w.step(m.L, (len(m.src)-s)>>8)
		if i < 0 {
			return 0, false
		}
		m.needAt = s + i
	}
	if h.firstAt < 0 {
		return s, true
	}
	from := s
	for s < len(m.src) && !h.first[m.src[s]] {
		s++
	}
	m.w.step(m.L, (s-from)>>5)
	return s, s < len(m.src)
}
