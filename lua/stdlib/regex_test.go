package stdlib

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// unlimited never ends.
func unlimited(int) bool { return true }

func mustRegex(t testing.TB, pattern string) *Regex {
	t.Helper()
	re, err := CompileRegex(pattern)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return re
}

// read is Find by the reader, however short the text is.
func read(re *regexp.Regexp, text string) []int {
	return re.FindReaderSubmatchIndex(&spendingReader{text: text, spend: unlimited, steps: 1})
}

// all is what FindNext finds one after the other, by the rules of regexp.
func all(re *Regex, text string) [][]int {
	var found [][]int
	last := -1
	for at := 0; at <= len(text); {
		loc := re.FindNext(text, at, unlimited)
		if loc == nil {
			break
		}
		if at = loc[1]; loc[0] == loc[1] {
			at++
			for at < len(text) && !boundary(text, at) {
				at++
			}
		}
		if loc[0] == loc[1] && loc[0] == last {
			continue
		}
		last = loc[1]
		found = append(found, loc)
	}
	return found
}

// boundary reports whether a character begins at text[at:].
func boundary(text string, at int) bool {
	for i := range text {
		if i == at {
			return true
		}
	}
	return false
}

var regexSeeds = []struct{ pattern, text string }{
	{`(\w+)@(\w+)\.com`, "mail joe@example.com and ann@example.com"}, {`\bfoo\b`, "foo barfoo foo"}, {`(?m)^(\w)(\d)?$`, "a\nb1\n\nc"},
	{`a*`, "baaac"}, {``, "äx"}, {`(a|ab)(c|bcd)(d*)`, "abcd"}, {`^a`, "aaa"}, {`(?i)straße`, "STRASSE Straße"}, {`.`, "\xff\xc3\xe2\x82€"},
	{`\Qa.b`, "a.b a.b"}, {`[^a]+`, "\xe2\x82aa\x80"}, {`\B`, "ab c"}, {`(?s).*?b`, "a\nb\nb"}, {`x*?`, "xx"}, {`$`, "a\n"}, {`(?:(a)|b)*`, "abab"},
	{`\x{FFFD}`, "\xff\uFFFD"}, {`(?U)a+`, "aaa"},
}

// TestRegex_LongAndShort: a match is the same whichever way the text is read, and so are the positions of
// all matches of a text.
func TestRegex_LongAndShort(t *testing.T) {
	for _, s := range regexSeeds {
		t.Run(s.pattern, func(t *testing.T) { same(t, mustRegex(t, s.pattern), s.text) })
	}
}

func same(t *testing.T, re *Regex, text string) {
	t.Helper()
	plain := re.plain.FindStringSubmatchIndex(text)
	if got := read(re.plain, text); !slices.Equal(got, plain) {
		t.Fatalf("%q in %q: read %v, plain %v", re.source, text, got, plain)
	}
	want := re.plain.FindAllStringSubmatchIndex(text, -1)
	if got := all(re, text); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q in %q: all are %v, want %v", re.source, text, got, want)
	}
	// Long enough for the reader, whatever the pattern.
	if len(text) > 0 && len(text) < 64 {
		long := strings.Repeat(text, shortWork/len(text)/re.size+1)
		if got, want := re.Find(long, unlimited), re.plain.FindStringSubmatchIndex(long); !slices.Equal(got, want) {
			t.Fatalf("%q in %d bytes of %q: read %v, plain %v", re.source, len(long), text, got, want)
		}
	}
}

func FuzzRegex(f *testing.F) {
	for _, s := range regexSeeds {
		f.Add(s.pattern, s.text)
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := CompileRegex(pattern)
		if err != nil || len(text) > 256 {
			return
		}
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if prog, err := syntax.Compile(tree.Simplify()); err != nil || len(prog.Inst) > re.size {
			t.Fatalf("%q has %d instructions, more than the %d that were expected (%v)", pattern, len(prog.Inst), re.size, err)
		}
		same(t, re, text)
	})
}

// TestCompileRegex_Refuses: what is refused is refused before it costs anything.
func TestCompileRegex_Refuses(t *testing.T) {
	for _, tc := range []struct{ name, pattern, want string }{
		{"a syntax error", `(a`, "missing closing )"},
		{"a back reference", `(a)\1`, "invalid escape sequence"},
		{"looking ahead", `a(?=b)`, "invalid or unsupported Perl syntax"},
		{"a repetition too large", `a{1001}`, "invalid repeat count"},
		{"nested repetitions", `((a{30}){30}){30}`, "invalid repeat count"},
		{"many repetitions", strings.Repeat("a{1000}", 21), "too large"},
		{"alternatives repeated", `(?:` + strings.Repeat("ab|cd|", 20) + `x){500}`, "too large"},
		{"many groups", strings.Repeat("()", 600), "too large"},
		{"a long pattern", strings.Repeat("a", MaxPattern+1), "4096 bytes"},
		{"many classes", strings.Repeat(`\pL`, 65), "too many classes"},
		{"a large range without case", `(?i)[B-\x{1e942}]`, "too large ranges"},
		{"a large range of characters", "(?i)[B-\U0001e942]", "too large ranges"},
		{"a large range by a later flag", `a(?m-s:b)(?si)[B-\x{1e942}]`, "too large ranges"},
		{"many ranges without case", `(?i)[` + strings.Repeat(`\x{100}-\x{1000}`, 20) + `]`, "too large ranges"},
		{"deep nesting", strings.Repeat("(", 930) + "a" + strings.Repeat(")", 930), "nested too deeply"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := CompileRegex(tc.pattern); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestCompileRegex_Accepts(t *testing.T) {
	for _, pattern := range []string{
		`(?i)[a-z0-9äöü-]+`, "(?i)foo-\U0001F600", `(?i)[а-я]+`, `[\x{100}-\x{10ffff}]`, `\p{Greek}+`, `a{1000}`, strings.Repeat("(a)", 32), `(?i)\x41-\x5a`,
	} {
		mustRegex(t, pattern)
	}
}

// TestRegex_Weight: tables of classes count, however few instructions they are.
func TestRegex_Weight(t *testing.T) {
	if small, large := mustRegex(t, "ab").Weight(), mustRegex(t, `\pL\pL`).Weight(); small > 20 || large < 20*small {
		t.Errorf("ab weighs %d, two tables %d", small, large)
	}
}

// TestRegex_Stops: a search ends soon after spend has said so, in every form.
func TestRegex_Stops(t *testing.T) {
	re := mustRegex(t, `(a*)*\bb`)
	long := strings.Repeat("a", 1<<20)
	for _, from := range []int{0, 1} {
		left, asked := 100_000, 0
		loc := re.FindNext(long, from, func(n int) bool {
			left -= n
			asked++
			return left > 0
		})
		if loc != nil || asked > 100_000 {
			t.Errorf("from %d: %v after %d questions", from, loc, asked)
		}
	}
	if loc := re.Find("b", func(int) bool { return false }); loc != nil {
		t.Errorf("a match without time: %v", loc)
	}
}

func TestCache_Bounds(t *testing.T) {
	c := NewCache[int](4, 100)
	for i := range 1000 {
		c.Put(fmt.Sprint(i), i, 10)
		if v, ok := c.Get(fmt.Sprint(i)); !ok || v != i || c.Len() > 4 {
			t.Fatalf("%d is %d, %v; %d values", i, v, ok, c.Len())
		}
	}
	for _, weight := range []int{40, 40, 40} {
		c.Put(fmt.Sprint("w", weight, c.Len()), weight, weight)
	}
	if c.Len() > 3 {
		t.Errorf("%d values weigh more than allowed", c.Len())
	}
	if _, ok := c.Get("nothing"); ok {
		t.Error("something was found under a name that was never put")
	}
}
