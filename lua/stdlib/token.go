package stdlib

import "bytes"

// Tokens are
//
//   - what follows the word Bearer or Basic, in upper or lower case, and spaces: letters, digits and . _ ~ + / = -, at
//     least 20 of them, or at least 8 with a digit, a = or an upper-case letter (not the first one) among them. The word
//     stays;
//   - JSON Web Tokens: eyJ with at least 5 more letters of base64url, a dot, at least 4, and further parts with dots;
//   - keys with one of the prefixes in keyKinds, no letter before it that is not part of another token.

const tokenMark = "<token>"

var (
	base64URL   = setOf(alphanumeric + "_-")
	credential  = setOf(alphanumeric + "._~+/=-")
	wordLetter  = setOf(alphanumeric + "_")
	plainLetter = setOf(alphanumeric)
	upperLetter = setOf(upperAlphanumeric)
)

const numKeyKinds = 23

// keyKind is one kind of token. A text that may hold one is noticed by a pair of bytes of its prefix that is rare in
// texts, the one that ends at notice.
type keyKind struct {
	prefix string
	notice int
	body   body
	fold   bool // prefix is in lower case and stands for any case
	keeps  bool // prefix stays
	glued  bool // also behind a letter
}

// body says where what follows a prefix ends, and whether the two are a token. Where they are not, end is how far there
// is no other token with this prefix, so that nothing is looked at twice.
type body func(s []byte, i int) (end int, ok bool)

var keyKinds = [numKeyKinds]keyKind{
	{prefix: "bearer ", notice: 1, body: credentialBody, fold: true, keeps: true},
	{prefix: "basic ", notice: 5, body: credentialBody, fold: true, keeps: true},
	{prefix: "eyJ", notice: 2, body: webTokenBody, glued: true},
	{prefix: "AKIA", notice: 1, body: run(upperLetter, 16)},       // AWS access keys
	{prefix: "ASIA", notice: 2, body: run(upperLetter, 16)},       //
	{prefix: "AIza", notice: 2, body: run(base64URL, 35)},         // Google
	{prefix: "ghp_", notice: 1, body: run(wordLetter, 20)},        // GitHub
	{prefix: "gho_", notice: 1, body: run(wordLetter, 20)},        //
	{prefix: "ghu_", notice: 1, body: run(wordLetter, 20)},        //
	{prefix: "ghs_", notice: 1, body: run(wordLetter, 20)},        //
	{prefix: "ghr_", notice: 1, body: run(wordLetter, 20)},        //
	{prefix: "github_pat_", notice: 1, body: run(wordLetter, 20)}, //
	{prefix: "glpat-", notice: 2, body: run(base64URL, 20)},       // GitLab
	{prefix: "sk_live_", notice: 2, body: run(plainLetter, 16)},   // Stripe
	{prefix: "sk_test_", notice: 2, body: run(plainLetter, 16)},   //
	{prefix: "rk_live_", notice: 2, body: run(plainLetter, 16)},   //
	{prefix: "rk_test_", notice: 2, body: run(plainLetter, 16)},   //
	{prefix: "sk-", notice: 2, body: withDigit(20)},               // OpenAI, Anthropic
	{prefix: "xoxa-", notice: 1, body: withDigit(10)},             // Slack
	{prefix: "xoxb-", notice: 1, body: withDigit(10)},
	{prefix: "xoxp-", notice: 1, body: withDigit(10)},
	{prefix: "xoxr-", notice: 1, body: withDigit(10)},
	{prefix: "xoxs-", notice: 1, body: withDigit(10)},
}

func runEnd(s []byte, i int, letters *byteSet) int {
	for i < len(s) && letters[s[i]] {
		i++
	}
	return i
}

// run is a key of at least so many letters.
func run(letters *byteSet, least int) body {
	return func(s []byte, i int) (int, bool) {
		if end := runEnd(s, i, letters); end-i >= least {
			return end, true
		}
		return i, false // the prefix may come again within these few
	}
}

// withDigit is a key that is no word: at least so many letters of base64url, a digit among them. The prefix is made of
// such letters as well.
func withDigit(least int) body {
	return func(s []byte, i int) (int, bool) {
		end := runEnd(s, i, base64URL)
		return end, end-i >= least && bytes.ContainsAny(s[i:end], "0123456789")
	}
}

func credentialBody(s []byte, i int) (int, bool) {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	end, telling := i, false
	for ; end < len(s) && credential[s[end]]; end++ {
		c := s[end]
		telling = telling || isDecimal(c) || c == '=' || end > i && c != toLower(c)
	}
	for end > i && s[end-1] == '.' {
		end--
	}
	if end-i >= 20 || end-i >= 8 && telling {
		return end, true
	}
	return i, false // it may be the word itself once more
}

func webTokenBody(s []byte, i int) (int, bool) {
	end := runEnd(s, i, base64URL)
	if end-i < 5 || end == len(s) || s[end] != '.' {
		return end, false
	}
	claims := end + 1
	last := runEnd(s, claims, base64URL)
	if last-claims < 4 {
		return end, false
	}
	for last+1 < len(s) && s[last] == '.' && base64URL[s[last+1]] {
		last = runEnd(s, last+1, base64URL)
	}
	return last, true
}

// addTokenPairs notes by which neighbours the prefixes are noticed.
func addTokenPairs(p *pairSet) {
	for _, k := range keyKinds {
		a, b := k.prefix[k.notice-1], k.prefix[k.notice]
		p.add(a, b)
		if k.fold {
			p.add(toUpper(a), b)
			p.add(a, toUpper(b))
			p.add(toUpper(a), toUpper(b))
		}
	}
}

// tokenPairs are the neighbours by which the prefixes are noticed.
var tokenPairs = func() *pairSet {
	var p pairSet
	addTokenPairs(&p)
	return &p
}()

// prefixAt returns where the prefix of k begins if the pair that ends at i is the one by which it is noticed, else -1.
func (k *keyKind) prefixAt(s []byte, i int) int {
	from := i - k.notice
	if !k.fold && s[i] != k.prefix[k.notice] || from < 0 || from+len(k.prefix) > len(s) {
		return -1
	}
	prefix := s[from : from+len(k.prefix)]
	if string(prefix) == k.prefix || k.fold && equalFold(prefix, k.prefix) {
		return from
	}
	return -1
}

// mayBeToken looks at the pair that ends at i, in JSON text.
func mayBeToken(s []byte, i int) bool {
	for k := range keyKinds {
		if keyKinds[k].prefixAt(s, i) >= 0 {
			return true
		}
	}
	return false
}

// tokenChunk is how much is looked through between two questions for time.
const tokenChunk = 64 << 10

// hideTokens is as hideMails.
func hideTokens(dst, s []byte, spend Spend) ([]byte, int) {
	found, done := 0, 0
	var none [numKeyKinds]int // up to where there is no token of the kind
	for i, paid := 1, 0; i < len(s); i++ {
		if i >= paid {
			if !spend(tokenChunk >> 5) {
				break
			}
			paid += tokenChunk
		}
		if !tokenPairs.has(s[i-1], s[i]) {
			continue
		}
		from, end := tokenAt(s, i, done, &none)
		if end == 0 || from < done {
			continue
		}
		dst = append(append(dst, s[done:from]...), tokenMark...)
		found++
		done, i = end, end
	}
	if found > 0 {
		dst = append(dst, s[done:]...)
	}
	return dst, found
}

// tokenAt returns where the token begins and ends that is noticed by the pair that ends at i; end is 0 for none. The
// last one before it ended at done.
func tokenAt(s []byte, i, done int, none *[numKeyKinds]int) (from, end int) {
	for n := range keyKinds {
		k := &keyKinds[n]
		from := k.prefixAt(s, i)
		if from < none[n] || !k.glued && from > done && isLetter(s[from-1]) {
			continue
		}
		begin := from + len(k.prefix)
		end, ok := k.body(s, begin)
		if !ok {
			none[n] = end
			continue
		}
		if k.keeps {
			for from = begin; s[from] == ' '; from++ {
			}
		}
		return from, end
	}
	return 0, 0
}
