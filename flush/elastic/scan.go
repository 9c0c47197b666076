package elastic

// scanner reads JSON strictly: what it accepts, encoding/json accepts as well. It builds nothing; it
// stops at the first fault and remembers it.
type scanner struct {
	b   []byte
	pos int
	bad bool
}

// maxDepth bounds the nesting of values that are skipped, and with it the stack.
const maxDepth = 64

// space skips white space.
func (s *scanner) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.bad || s.pos == len(s.b) {
		return 0
	}
	return s.b[s.pos]
}

// take consumes c, which must come next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.bad {
		s.bad = true
		return false
	}
	s.pos++
	return true
}

// word consumes a literal.
func (s *scanner) word(w string) bool {
	s.space()
	if s.bad || len(s.b)-s.pos < len(w) || string(s.b[s.pos:s.pos+len(w)]) != w {
		s.bad = true
		return false
	}
	s.pos += len(w)
	return true
}

// members calls f for each member of the object that comes next; f consumes the value.
func (s *scanner) members(f func(key []byte)) {
	s.list('{', '}', func() {
		key := s.str()
		s.take(':')
		if !s.bad {
			f(key)
		}
	})
}

// list calls f for each element between open and end, which must come next; f consumes the element.
func (s *scanner) list(open, end byte, f func()) {
	if !s.take(open) {
		return
	}
	if s.peek() == end {
		s.pos++
		return
	}
	for !s.bad {
		f()
		if s.peek() != ',' {
			s.take(end)
			return
		}
		s.pos++
	}
}

// str consumes a string and returns it raw, quotes included.
func (s *scanner) str() []byte {
	s.space()
	from := s.pos
	if !s.take('"') {
		return nil
	}
	for s.pos < len(s.b) {
		c := s.b[s.pos]
		switch {
		case c == '"':
			s.pos++
			return s.b[from:s.pos]
		case c < ' ':
			s.bad = true
			return nil
		case c == '\\':
			if !s.escape() {
				s.bad = true
				return nil
			}
		default:
			s.pos++
		}
	}
	s.bad = true
	return nil
}

// escape consumes one escape of a string.
func (s *scanner) escape() bool {
	rest := s.b[s.pos+1:]
	if len(rest) == 0 {
		return false
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
		if len(rest) < 5 {
			return false
		}
		for _, c := range rest[1:5] {
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
		s.pos += 6
		return true
	}
	return false
}

// number consumes a number.
func (s *scanner) number() []byte {
	s.space()
	from := s.pos
	s.optional('-')
	if !s.optional('0') {
		s.digits()
	}
	if s.optional('.') {
		s.digits()
	}
	if s.optional('e') || s.optional('E') {
		if !s.optional('+') {
			s.optional('-')
		}
		s.digits()
	}
	return s.b[from:s.pos]
}

func (s *scanner) optional(c byte) bool {
	if s.pos < len(s.b) && s.b[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() {
	from := s.pos
	for s.pos < len(s.b) && s.b[s.pos] >= '0' && s.b[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == from {
		s.bad = true
	}
}

// skip consumes a value of any kind.
func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.bad = true
		return
	}
	switch s.peek() {
	case '{':
		s.members(func([]byte) { s.skip(depth + 1) })
	case '[':
		s.list('[', ']', func() { s.skip(depth + 1) })
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// end reports whether nothing but white space is left and no fault was met.
func (s *scanner) end() bool {
	s.space()
	return !s.bad && s.pos == len(s.b)
}
