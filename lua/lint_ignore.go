package lua

import "strings"

// ignoredRules returns the rules that the script's comments keep back, by line. A comment behind code is for
// its line, one on a line of its own for the next line with code.
func ignoredRules(source []byte) map[int][]string {
	s := commentScanner{source: string(source), line: 1, ignored: map[int][]string{}}
	for s.at < len(s.source) {
		s.step()
	}
	return s.ignored
}

// commentScanner goes through a script that compiles, and knows comments from strings.
type commentScanner struct {
	source  string
	at      int
	line    int
	code    bool     // there is code in this line
	waiting []string // rules of comments above
	ignored map[int][]string
}

func (s *commentScanner) step() {
	rest := s.source[s.at:]
	switch c := rest[0]; {
	case c == '\n' || c == '\r':
		s.newline()
	case c == ' ' || c == '\t' || c == '\v' || c == '\f':
		s.at++
	case strings.HasPrefix(rest, "--"):
		s.comment()
	default:
		s.token(c)
	}
}

// newline counts as the compiler does: \r\n and \n\r are one.
func (s *commentScanner) newline() {
	first := s.source[s.at]
	s.at++
	if s.at < len(s.source) {
		if next := s.source[s.at]; (next == '\n' || next == '\r') && next != first {
			s.at++
		}
	}
	s.line++
	s.code = false
}

func (s *commentScanner) comment() {
	s.at += len("--")
	if close := longClose(s.source[s.at:]); close != "" {
		s.skipLong(close)
		return
	}
	text := s.source[s.at:]
	if end := strings.IndexAny(text, "\r\n"); end >= 0 {
		text = text[:end]
	}
	s.at += len(text)
	rules := rulesOf(text)
	if s.code {
		s.ignored[s.line] = append(s.ignored[s.line], rules...)
	} else {
		s.waiting = append(s.waiting, rules...)
	}
}

// rulesOf reads "lint: ignore RULE, RULE"; words that name no rule end the list.
func rulesOf(comment string) []string {
	text, ok := strings.CutPrefix(strings.TrimSpace(comment), "lint:")
	if !ok {
		return nil
	}
	if text, ok = strings.CutPrefix(strings.TrimSpace(text), "ignore"); !ok {
		return nil
	}
	var rules []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if !isRule(word) {
			break
		}
		rules = append(rules, word)
	}
	return rules
}

func isRule(word string) bool {
	for _, r := range LintRules() {
		if r.Name == word {
			return true
		}
	}
	return false
}

func (s *commentScanner) token(c byte) {
	if len(s.waiting) > 0 {
		s.ignored[s.line] = append(s.ignored[s.line], s.waiting...)
		s.waiting = nil
	}
	s.code = true
	if c == '"' || c == '\'' {
		s.quoted(c)
		return
	}
	if close := longClose(s.source[s.at:]); close != "" {
		s.skipLong(close)
		return
	}
	s.at++
}

func (s *commentScanner) quoted(quote byte) {
	for s.at++; s.at < len(s.source); {
		switch c := s.source[s.at]; c {
		case quote:
			s.at++
			return
		case '\\':
			s.at++
			if s.at < len(s.source) && (s.source[s.at] == '\n' || s.source[s.at] == '\r') {
				s.newline()
				s.code = true
			} else {
				s.at++
			}
		default:
			s.at++
		}
	}
}

// longClose is what ends the long bracket at the beginning of text, "" when there is none.
func longClose(text string) string {
	if !strings.HasPrefix(text, "[") {
		return ""
	}
	signs := strings.TrimLeft(text[1:], "=")
	n := len(text) - 1 - len(signs)
	if !strings.HasPrefix(signs, "[") {
		return ""
	}
	return "]" + strings.Repeat("=", n) + "]"
}

// skipLong skips a long bracket, and counts its lines. What follows it on its last line is behind code.
func (s *commentScanner) skipLong(close string) {
	s.at += len(close)
	end := len(s.source)
	if i := strings.Index(s.source[s.at:], close); i >= 0 {
		end = s.at + i
	}
	for s.at < end {
		if c := s.source[s.at]; c == '\n' || c == '\r' {
			s.newline()
			continue
		}
		s.at++
	}
	s.at = min(end+len(close), len(s.source))
	s.code = true
}
