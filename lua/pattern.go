package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

const (
	maxCaptures = 32
	maxRecurse  = 200 // nested pattern items; Lua 5.2 has the same limit
	// A capture's length while it is open, of a position capture, and of a group that took no part.
	captureOpen     = -1
	capturePosition = -2
	captureAbsent   = -3
	bytesMatcher    = 640
)

// matcher matches a Lua 5.1 pattern by backtracking, as the manual describes it, and counts every try: a
// pattern that backtracks without end costs its event, not the process.
type matcher struct {
	w    *worker
	L    *glua.LState
	src  string
	pat  string
	deep int
	n    int // captures
	capt [maxCaptures]struct{ start, length int }

	hint   *hint // nil: a match may begin anywhere
	needAt int   // where the character that hint needs stands, from some position on
}

func (m *matcher) fail(message string) { m.L.RaiseError("%s", message) }

// at tries to match the pattern from position p at s; -1 when it does not match.
func (m *matcher) at(s, p int) int {
	if m.deep++; m.deep > maxRecurse {
		m.fail("the pattern is too complex")
	}
	end := m.items(s, p)
	m.deep--
	return end
}

// items matches item after item. It is long because it is the table of what a pattern may hold.
func (m *matcher) items(s, p int) int {
	for p < len(m.pat) {
		m.w.step(m.L, 1)
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, capturePosition)
			}
			return m.open(s, p+1, captureOpen)
		case ')':
			return m.close(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 >= len(m.pat) {
				m.fail("malformed pattern (ends with '%')")
			}
			switch c := m.pat[p+1]; {
			case c == 'b':
				if s = m.balance(s, p+2); s < 0 {
					return -1
				}
				p += 4
				continue
			case c == 'f':
				var ok bool
				if p, ok = m.frontier(s, p+2); !ok {
					return -1
				}
				continue
			case c >= '0' && c <= '9':
				if s = m.backReference(s, c); s < 0 {
					return -1
				}
				p += 2
				continue
			}
		}
		end := m.classEnd(p)
		if end-p > 64 {
			m.w.step(m.L, (end-p)>>6)
		}
		repeat := byte(0)
		if end < len(m.pat) {
			repeat = m.pat[end]
		}
		switch repeat {
		case '?':
			if s < len(m.src) && m.single(m.src[s], p, end) {
				if r := m.at(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.greedy(s, p, end, 0)
		case '+':
			return m.greedy(s, p, end, 1)
		case '-':
			return m.lazy(s, p, end)
		default:
			if s >= len(m.src) || !m.single(m.src[s], p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
	return s
}

// classEnd returns the position behind the single character class at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	if c == '%' {
		if p >= len(m.pat) {
			m.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	}
	if c != '[' {
		return p
	}
	if p < len(m.pat) && m.pat[p] == '^' {
		p++
	}
	for first := true; ; first = false {
		if p >= len(m.pat) {
			m.fail("malformed pattern (missing ']')")
		}
		c := m.pat[p]
		if c == ']' && !first {
			return p + 1
		}
		p++
		if c == '%' {
			p++
		}
	}
}

// single reports whether c matches the class in pat[p:end].
func (m *matcher) single(c byte, p, end int) bool {
	if h := m.hint; h != nil && p == h.firstAt {
		return h.first[c]
	}
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return classMatch(c, m.pat[p+1])
	case '[':
		return m.setMatch(c, p, end-1)
	default:
		return m.pat[p] == c
	}
}

// setMatch reports whether c is in the set that begins at p and whose ']' is at last.
func (m *matcher) setMatch(c byte, p, last int) bool {
	in := true
	p++
	if m.pat[p] == '^' {
		in = false
		p++
	}
	for p < last {
		switch {
		case m.pat[p] == '%':
			p++
			if classMatch(c, m.pat[p]) {
				return in
			}
			p++
		case p+2 < last && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return in
			}
			p += 3
		default:
			if m.pat[p] == c {
				return in
			}
			p++
		}
	}
	return !in
}

// classMatch knows the letters of classes; any other character stands for itself.
func classMatch(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isAlpha(c)
	case 'c':
		in = c < 32 || c == 127
	case 'd':
		in = isDigit(c)
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'p':
		in = c > 32 && c < 127 && !isAlpha(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= 9 && c <= 13
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 'w':
		in = isAlpha(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isAlpha(class) {
		return class == c
	}
	return in != (class&0x20 == 0)
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (m *matcher) greedy(s, p, end, least int) int {
	i, work := 0, 0
	for s+i < len(m.src) && m.single(m.src[s+i], p, end) {
		i++
		if work += 7 + end - p; work >= 512 { // a set is searched from its beginning
			m.w.step(m.L, work>>6)
			work = 0
		}
	}
	for ; i >= least; i-- {
		if r := m.at(s+i, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) lazy(s, p, end int) int {
	for {
		if r := m.at(s, end+1); r >= 0 {
			return r
		}
		m.w.step(m.L, (end-p)>>6)
		if s >= len(m.src) || !m.single(m.src[s], p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) open(s, p, length int) int {
	if m.n >= maxCaptures {
		m.fail("too many captures")
	}
	m.capt[m.n].start, m.capt[m.n].length = s, length
	m.n++
	r := m.at(s, p)
	if r < 0 {
		m.n--
	}
	return r
}

func (m *matcher) close(s, p int) int {
	i := m.n - 1
	for i >= 0 && m.capt[i].length != captureOpen {
		i--
	}
	if i < 0 {
		m.fail("invalid pattern capture")
	}
	m.capt[i].length = s - m.capt[i].start
	r := m.at(s, p)
	if r < 0 {
		m.capt[i].length = captureOpen
	}
	return r
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open, shut := m.pat[p], m.pat[p+1]
	for depth, i := 1, s+1; i < len(m.src); i++ {
		if i&63 == 0 {
			m.w.step(m.L, 8)
		}
		switch m.src[i] {
		case shut:
			if depth--; depth == 0 {
				return i + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

// frontier is %f[set]: the place where the set begins to match. It returns the position behind the set.
func (m *matcher) frontier(s, p int) (int, bool) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.fail("missing '[' after '%f' in pattern")
	}
	end := m.classEnd(p)
	m.w.step(m.L, (end-p)>>5)
	var before, here byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		here = m.src[s]
	}
	return end, !m.setMatch(before, p, end-1) && m.setMatch(here, p, end-1)
}

func (m *matcher) backReference(s int, c byte) int {
	i := int(c) - '1'
	if i < 0 || i >= m.n || m.capt[i].length == captureOpen {
		m.fail("invalid capture index")
	}
	if m.capt[i].length == capturePosition {
		return -1
	}
	text := m.src[m.capt[i].start : m.capt[i].start+m.capt[i].length]
	m.w.step(m.L, len(text)>>6)
	if !strings.HasPrefix(m.src[s:], text) {
		return -1
	}
	return s + len(text)
}

// find looks for the first match at or after from.
func (m *matcher) find(from int) (start, end int, ok bool) {
	p := 0
	anchored := len(m.pat) > 0 && m.pat[0] == '^'
	if anchored {
		p = 1
	}
	for s := from; s <= len(m.src); s++ {
		if s, ok = m.next(s); !ok {
			break
		}
		m.n, m.deep = 0, 0
		if e := m.at(s, p); e >= 0 {
			return s, e, true
		}
		if anchored {
			break
		}
	}
	return 0, 0, false
}

// capture returns capture i of a match from s to e; without captures, capture 0 is the whole match.
func (m *matcher) capture(i, s, e int) glua.LValue {
	if i >= m.n {
		if i != 0 {
			m.fail("invalid capture index")
		}
		m.w.text(m.L, e-s)
		return glua.LString(m.src[s:e])
	}
	c := m.capt[i]
	switch c.length {
	case captureOpen:
		m.fail("unfinished capture")
	case capturePosition:
		return glua.LNumber(c.start + 1)
	case captureAbsent:
		return glua.LNil
	}
	m.w.text(m.L, 0) // a slice of the source, no copy
	return glua.LString(m.src[c.start : c.start+c.length])
}

// pushCaptures pushes all captures, the whole match when there are none and whole is set.
func (m *matcher) pushCaptures(s, e int, whole bool) int {
	n := m.n
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.L.Push(m.capture(i, s, e))
	}
	return n
}
