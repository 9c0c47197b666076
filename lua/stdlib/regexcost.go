package stdlib

import (
	"errors"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxTables is how often a pattern may name a class of Unicode: each is a table of a thousand ranges that
	// the parser copies and sorts.
	maxTables = 64
	// maxHeight is how deep a pattern may be nested. The parser allows 1,000; FindNext adds some.
	maxHeight = 900
	// maxFolded bounds the characters that ranges of a pattern without case cover: the parser looks at each of them.
	maxFolded = 64 << 10
)

const (
	charactersPerInstruction = 10 // of 4 bytes
	bytesCompile             = 16 << 10
	bytesCompileByte         = 256
	bytesTable               = 64 << 10
)

// CompileCost is how many bytes compiling a pattern allocates at most, beside what stays: see Weight.
func CompileCost(pattern string) int {
	return bytesCompile + min(len(pattern), MaxPattern)*bytesCompileByte + min(tables(pattern), maxTables)*bytesTable
}

// tables is how often a pattern names a class of Unicode.
func tables(pattern string) int {
	return strings.Count(pattern, `\p`) + strings.Count(pattern, `\P`)
}

// affordable looks at a pattern before it is parsed and refuses what costs the parser much time for its
// length. Everything else it does in a few hundred microseconds.
func affordable(pattern string) error {
	if tables(pattern) > maxTables {
		return errors.New("the pattern names too many classes of Unicode")
	}
	if ignoresCase(pattern) && rangesCovered(pattern) > maxFolded {
		return errors.New("the pattern has too large ranges to ignore case")
	}
	return nil
}

// ignoresCase reports whether a pattern sets the flag i anywhere.
func ignoresCase(pattern string) bool {
	for {
		var found bool
		if _, pattern, found = strings.Cut(pattern, "(?"); !found {
			return false
		}
		flags := pattern[:len(pattern)-len(strings.TrimLeft(pattern, "imsU-"))]
		if strings.Contains(flags, "i") {
			return true
		}
	}
}

// rangesCovered is at least the number of characters in all ranges x-y of a pattern. Every hyphen counts as
// one from the first [ on.
func rangesCovered(pattern string) int {
	covered := 0
	for i := strings.IndexByte(pattern, '['); i >= 0 && i < len(pattern); i++ {
		if pattern[i] != '-' {
			continue
		}
		last := rangeEnd(pattern[i+1:])
		if first, width := utf8.DecodeLastRuneInString(pattern[:i]); width > 1 {
			last -= min(first, last)
		}
		covered += int(last)
	}
	return covered
}

// rangeEnd is the character that a range ends with, or a larger one.
func rangeEnd(s string) rune {
	hex, found := strings.CutPrefix(s, `\x{`)
	if found {
		hex, _, _ = strings.Cut(hex, "}")
		v, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || v > utf8.MaxRune {
			return utf8.MaxRune // the parser will refuse it
		}
		return rune(v)
	}
	if strings.HasPrefix(s, `\`) {
		return 0o777 // of an octal escape, the largest of the others
	}
	c, _ := utf8.DecodeRuneInString(s)
	return c
}

// instructions is how many instructions a pattern compiles to, or a few more. Repetitions are written out
// by the compiler, so nested ones multiply.
func instructions(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCapture:
		return 2 + instructions(re.Sub[0])
	case syntax.OpRepeat:
		return repeated(instructions(re.Sub[0]), re.Min, re.Max)
	}
	n := 1
	for _, sub := range re.Sub {
		n = min(n+1+instructions(sub), maxInstructions+1)
	}
	return n
}

func repeated(once, least, most int) int {
	if most < 0 {
		return min(once*(least+1)+1, maxInstructions+1)
	}
	return min(once*least+(once+1)*(most-least)+1, maxInstructions+1)
}

// characters is how long the tables of a pattern's classes are. Repetitions share them.
func characters(re *syntax.Regexp) int {
	n := 0
	if re.Op == syntax.OpCharClass {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += characters(sub)
	}
	return n
}

// looksBehind reports whether a pattern asks what stands in front of a match.
func looksBehind(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	for _, sub := range re.Sub {
		if looksBehind(sub) {
			return true
		}
	}
	return false
}

// height is how deep a pattern is nested.
func height(re *syntax.Regexp) int {
	h := 0
	for _, sub := range re.Sub {
		h = max(h, height(sub))
	}
	return h + 1
}
