package stdlib

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// URL holds the parts of a URL that are there, as they stood in it but for the escapes in Username; "" and 0 are those
// that are not.
type URL struct {
	Scheme, Domain, Path, Query, Fragment, Username string
	Port                                            int
}

// maxURL is longer than any server takes.
const maxURL = 64 << 10

// ParseURL takes a whole URL, or a path with or without a query. A password is left out.
func ParseURL(text string) (*URL, error) {
	if len(text) > maxURL {
		return nil, errors.New("the text is too long for a URL")
	}
	u, err := url.Parse(text)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the whole text
		}
		return nil, err
	}
	if u.Opaque != "" && strings.Contains(u.Scheme, ".") { // example.com:443
		return nil, errors.New("there is no scheme in front of the host")
	}
	p := &URL{
		Scheme: u.Scheme, Path: u.RawPath, Query: u.RawQuery, Fragment: u.RawFragment,
		Username: u.User.Username(), Domain: u.Host,
	}
	// The raw ones are there only where they are not what escaping gives.
	if p.Path == "" {
		p.Path = u.EscapedPath()
	}
	if p.Path == "" {
		p.Path = u.Opaque
	}
	if p.Fragment == "" {
		p.Fragment = u.EscapedFragment()
	}
	if port := u.Port(); port != "" {
		p.Domain = strings.TrimSuffix(u.Host, ":"+port)
		if p.Port, err = strconv.Atoi(port); err != nil || p.Port > 65535 {
			return nil, errors.New("the port is no port: " + Excerpt(port))
		}
	}
	p.Domain = strings.TrimSuffix(p.Domain, ":")
	return p, nil
}

// NextParameter takes the first parameter from a query and returns its name and its value, decoded where
// that can be done, and the rest; ok is false when there is none.
func NextParameter(query string) (name, value, rest string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, _ = strings.Cut(pair, "=")
		return unescapeQuery(name), unescapeQuery(value), query, true
	}
	return "", "", "", false
}

// unescapeQuery leaves broken escapes as they are: what was asked for is worth more than the form.
func unescapeQuery(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}
