package stdlib

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// MaxPattern is how many bytes a pattern may have.
	MaxPattern = 4 << 10
	// maxInstructions bounds the program of a pattern, and so what compiling it takes: some milliseconds.
	maxInstructions = 20_000
	// maxThreads bounds the positions that matching may hold: each instruction may have its own copy of all
	// of them. Few do, but this is 8 MB.
	maxThreads = 1 << 20
	// shortWork is how many pairs of a character and an instruction one call of the matcher may be made
	// for that nobody can interrupt: at worst a few milliseconds.
	shortWork = 1 << 17
	// pairsPerStep is how many such pairs count as one step; see Spend.
	pairsPerStep = 1 << 7
)

// Regex is a compiled RE2 pattern whose matching can be interrupted.
type Regex struct {
	source string
	plain  *regexp.Regexp
	size   int  // instructions
	weight int  // see Weight
	behind bool // what matches depends on what stands in front

	once  sync.Once
	inner *regexp.Regexp // the pattern behind one character; see FindNext
}

// CompileRegex compiles a pattern. It refuses those that are long or large, before it spends the time that
// they would take.
func CompileRegex(pattern string) (*Regex, error) {
	if len(pattern) > MaxPattern {
		return nil, fmt.Errorf("a pattern may have %d bytes, not %d", MaxPattern, len(pattern))
	}
	return compileRegex(strings.Clone(pattern))
}

func compileRegex(pattern string) (*Regex, error) {
	if err := affordable(pattern); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, patternError(err)
	}
	if height(tree) > maxHeight {
		return nil, errors.New("the pattern is nested too deeply")
	}
	r := &Regex{source: pattern, size: instructions(tree) + 2, behind: looksBehind(tree)}
	if groups := tree.MaxCap(); r.size > maxInstructions || r.size*(2*groups+2) > maxThreads {
		return nil, fmt.Errorf("the pattern is too large: %d instructions with %d groups", r.size, groups)
	}
	r.weight = r.size + characters(tree)/charactersPerInstruction
	if r.behind {
		r.weight *= 2 // behindOne
	}
	if r.plain, err = regexp.Compile(pattern); err != nil {
		return nil, patternError(err)
	}
	return r, nil
}

// patternError says what is wrong with a pattern and where, without all of it.
func patternError(err error) error {
	if e, ok := err.(*syntax.Error); ok {
		return fmt.Errorf("malformed pattern: %s: %s", e.Code, Excerpt(e.Expr))
	}
	return fmt.Errorf("malformed pattern: %s", Excerpt(err.Error()))
}

// Groups is the number of groups that capture.
func (r *Regex) Groups() int { return r.plain.NumSubexp() }

// Weight is the size of the compiled pattern: its instructions and the tables of its classes, of which as
// much counts as an instruction as takes its place, 40 bytes.
func (r *Regex) Weight() int { return r.weight }

// Find returns the positions of the first match and its groups, in pairs, -1 for what took no part. It is
// nil without a match, or when spend has said that there is no time.
func (r *Regex) Find(text string, spend Spend) []int {
	return find(r.plain, r.size, text, spend)
}

// FindNext is Find for the first match at or behind from, which is the end of a character. Unlike Find on
// the rest of the text it knows what stands in front: ^ does not match there, \b may.
func (r *Regex) FindNext(text string, from int, spend Spend) []int {
	start, loc := from, []int(nil)
	if from == 0 || !r.behind {
		loc = r.Find(text[from:], spend)
	} else {
		// regexp cannot begin in the middle, so it gets one character more, and a pattern that skips it.
		_, width := utf8.DecodeLastRuneInString(text[:from])
		start = from - width
		if loc = find(r.behindOne(), r.size+8, text[start:], spend); loc != nil {
			loc = loc[2:]
		}
	}
	for i := range loc {
		if loc[i] >= 0 {
			loc[i] += start
		}
	}
	return loc
}

// behindOne is the pattern as group 1 behind at least one character.
func (r *Regex) behindOne() *regexp.Regexp {
	r.once.Do(func() {
		const skip = `\A(?s:.)(?s:.*?)(`
		var err error
		if r.inner, err = regexp.Compile(skip + r.source + ")"); err != nil {
			r.inner = regexp.MustCompile(skip + r.source + `\E)`) // it ends in a quotation that was left open
		}
	})
	return r.inner
}

// find calls the matcher on texts that it is done with soon, and otherwise lets it read one character at a
// time, which is slower but ends when it must. Both see invalid UTF-8 as one U+FFFD for each byte.
func find(re *regexp.Regexp, size int, text string, spend Spend) []int {
	if work := (len(text) + 1) * size; work <= shortWork {
		if !spend(1 + work/pairsPerStep) {
			return nil
		}
		return re.FindStringSubmatchIndex(text)
	}
	r := &spendingReader{text: text, spend: spend, steps: 1 + size/pairsPerStep}
	loc := re.FindReaderSubmatchIndex(r)
	if r.stopped {
		return nil
	}
	return loc
}

// spendingReader ends its text when there is no time left to read it.
type spendingReader struct {
	text    string
	at      int
	spend   Spend
	steps   int // for each character
	stopped bool
}

// ReadRune implements io.RuneReader.
func (r *spendingReader) ReadRune() (rune, int, error) {
	if r.at == len(r.text) {
		return 0, 0, io.EOF
	}
	if r.stopped = r.stopped || !r.spend(r.steps); r.stopped {
		return 0, 0, io.EOF
	}
	c, width := rune(r.text[r.at]), 1
	if c >= utf8.RuneSelf {
		c, width = utf8.DecodeRuneInString(r.text[r.at:])
	}
	r.at += width
	return c, width, nil
}
