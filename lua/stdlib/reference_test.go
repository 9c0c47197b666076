package stdlib

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// What a Redactor does, said once more with regular expressions and without a thought about time.

const (
	refName  = `[\p{L}\p{M}\p{Nd}._%+-]`
	refLabel = `[\p{L}\p{M}\p{Nd}-]+`
)

var (
	refAt        = regexp.MustCompile(`@|%40`)
	refLocal     = regexp.MustCompile(refName + `+$`)
	refDomain    = regexp.MustCompile(`^` + refLabel + `(?:\.` + refLabel + `)*`)
	refPicture   = regexp.MustCompile(`^(?i)[0-9]x\.(?:png|jpe?g|gif|webp|avif|svg)$`)
	refFirst     = regexp.MustCompile(`^[A-Za-z]|^\p{L}`)
	refCardShape = regexp.MustCompile(`^(?:\d{4,}[ +-])*\d+$`)
	refCardStart = regexp.MustCompile(`^(?:2[2-7]|[3-6]|8[12]|97)`)
	refHexWord   = regexp.MustCompile(`[0-9a-fA-F]+`)
	refLetter    = regexp.MustCompile(`[a-fA-F]`)
	refUUID      = regexp.MustCompile(`^[^-]{8}-[^-]{4}-[^-]{4}-[^-]{4}-[^-]{12}$`)
	refScheme    = regexp.MustCompile(`^(?i:bearer|basic) +([A-Za-z0-9._~+/=-]+)`)
	refWebToken  = regexp.MustCompile(`^eyJ[\w-]{5,}\.[\w-]{4,}(?:\.[\w-]+)*`)
	refKeys      = regexp.MustCompile(`^(?:(?:AKIA|ASIA)[A-Z0-9]{16,}|AIza[\w-]{35,}|(?:gh[pousr]|github_pat)_\w{20,}|glpat-[\w-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,})`)
	refDigitKeys = regexp.MustCompile(`^(?:sk-([\w-]{20,})|xox[abprs]-([\w-]{10,}))`)
)

// refText is Redactor.Text.
func refText(kinds Kinds, s string) (string, int) {
	total, n := 0, 0
	if kinds&Tokens != 0 {
		s, n = refHide(s, tokenMark, refToken)
		total += n
	}
	if kinds&Mails != 0 {
		s, n = refMails(s)
		total += n
	}
	if kinds&Cards != 0 {
		s, n = refHide(s, cardMark, refCard)
		total += n
	}
	return s, total
}

// refHide replaces what at finds, leftmost first. at says for a position where what begins there begins and ends; the last one ended at done.
func refHide(s, mark string, at func(s string, i, done int) (from, end int)) (string, int) {
	var out strings.Builder
	n, done := 0, 0
	for i := 0; i < len(s); {
		from, end := at(s, i, done)
		if end == 0 {
			i++
			continue
		}
		out.WriteString(s[done:from] + mark)
		done, i = end, end
		n++
	}
	return out.String() + s[done:], n
}

func refToken(s string, i, done int) (int, int) {
	rest := s[i:]
	if m := refWebToken.FindString(rest); m != "" {
		return i, i + len(m)
	}
	if i > done && isLetter(s[i-1]) {
		return 0, 0
	}
	if m := refScheme.FindStringSubmatchIndex(rest); m != nil {
		key := strings.TrimRight(rest[m[2]:m[3]], ".")
		if len(key) >= 20 || len(key) >= 8 && (strings.ContainsAny(key, "0123456789=") || strings.ToLower(key[1:]) != key[1:]) {
			return i + m[2], i + m[2] + len(key)
		}
	}
	if m := refKeys.FindString(rest); m != "" {
		return i, i + len(m)
	}
	if m := refDigitKeys.FindStringSubmatch(rest); m != nil && strings.ContainsAny(m[1]+m[2], "0123456789") {
		return i, i + len(m[0])
	}
	return 0, 0
}

func refMails(s string) (string, int) {
	var out strings.Builder
	n, done, floor := 0, 0, 0
	for {
		at := refAt.FindStringIndex(s[floor:])
		if at == nil {
			return out.String() + s[done:], n
		}
		from, behind := floor+at[0], floor+at[1]
		name := refLocal.FindString(s[floor:from])
		if end := refDomainEnd(s[behind:]); name != "" && end > 0 && !refPicture.MatchString(s[behind:behind+end]) {
			out.WriteString(s[done:from-len(name)] + mailMark)
			done, floor = behind+end, behind+end
			n++
			continue
		}
		floor = behind
	}
}

func refDomainEnd(s string) int {
	labels := strings.Split(refDomain.FindString(s), ".")
	for i := len(labels) - 1; i > 0; i-- {
		last := strings.TrimRight(labels[i], "-")
		if len(last) >= 2 && refFirst.MatchString(last) {
			return len(strings.Join(labels[:i], ".")) + 1 + len(last)
		}
	}
	return 0
}

func refCard(s string, i, done int) (int, int) {
	if !isDecimal(s[i]) || i > 0 && isDecimal(s[i-1]) || i > 1 && i-1 != done && s[i-1] == '.' && isDecimal(s[i-2]) {
		return 0, 0
	}
	for end := min(len(s), i+2*maxCard); end >= i+minCard; end-- {
		if end < len(s) && isDecimal(s[end]) || !refCardShape.MatchString(s[i:end]) || !refCardStart.MatchString(s[i:end]) {
			continue
		}
		digits := strings.NewReplacer(" ", "", "-", "", "+", "").Replace(s[i:end])
		if len(digits) >= minCard && len(digits) <= maxCard && refLuhn(digits) && !refInID(s, i, done) && !refInID(s, end-1, done) {
			return i, end
		}
	}
	return 0, 0
}

func refLuhn(digits string) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			d = []int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}[d]
		}
		sum += d
	}
	return sum%10 == 0
}

// refInID reports whether the digit at i is part of an id: of a long word, or of five with hyphens between.
func refInID(s string, i, floor int) bool {
	words := refHexWord.FindAllString(s[floor:], -1)
	places := refHexWord.FindAllStringIndex(s[floor:], -1)
	for n, w := range words {
		if i < floor+places[n][0] || i >= floor+places[n][1] {
			continue
		}
		if len(w) >= hashWord || (len(w) == 16 || len(w) == 24) && refLetter.MatchString(w) {
			return true
		}
		for first := max(n-4, 0); first <= n && first+5 <= len(words); first++ {
			id := strings.Join(words[first:first+5], "-")
			if strings.HasPrefix(s[floor+places[first][0]:], id) && refUUID.MatchString(id) {
				return true
			}
		}
	}
	return false
}

// validText reports whether the reference can be asked: regular expressions see U+FFFD where a byte is no UTF-8.
func validText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) }
