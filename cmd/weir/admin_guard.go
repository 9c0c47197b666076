package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// The protection of the admin listener. A browser on this machine, or on one that may reach it, must not
// be a way in for the pages that it shows:
//
//	DNS rebinding           Host must be a name or an address of this listener
//	requests across sites   Origin, where there is one, must be this host; so must Sec-Fetch-Site
//	forms and images        everything but GET and HEAD needs a header that a page of another site
//	                        cannot send without being asked first, and is never allowed to
//	hostile log content     escaped by the templates; no script, style or image but the page's own
//	other machines          a listener that is not loopback asks for the token

// changeHeader must be "1" on every request that changes something.
const changeHeader = "X-Weir"

// hostRule says under which names a listener may be asked.
type hostRule struct {
	addr  netip.Addr // where it listens; the unspecified address: everywhere
	names map[string]bool
}

func newHostRule(addr net.Addr, listen string, more []string) hostRule {
	rule := hostRule{names: map[string]bool{"localhost": true}}
	if ap, err := netip.ParseAddrPort(addr.String()); err == nil {
		rule.addr = ap.Addr().Unmap().WithZone("")
	}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		more = append(more, host)
	}
	if name, err := os.Hostname(); err == nil && !rule.addr.IsLoopback() {
		more = append(more, name)
	}
	for _, name := range more {
		rule.names[strings.ToLower(name)] = true
	}
	return rule
}

// allows reports whether the value of a Host header names this listener. Any port may stand in it: a
// tunnel or a port mapping has its own. Rebinding needs a name, so that the addresses which a listener
// on all interfaces may have are all allowed.
func (h *hostRule) allows(host string) bool {
	name := host
	if split, _, err := net.SplitHostPort(host); err == nil {
		name = split
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if h.names[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	return ip.IsLoopback() || ip == h.addr || h.addr.IsUnspecified()
}

// guard puts the protection before a handler.
func (a *admin) guard(addr net.Addr, next http.Handler) http.Handler {
	rule := newHostRule(addr, a.cfg.Admin.Listen, a.hosts)
	token := a.cfg.Admin.Token.Reveal()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurityHeaders(w.Header())
		if refusal := refuse(&rule, token, r); refusal != nil {
			if refusal.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="weir: any name, admin.token as password", charset="UTF-8"`)
			}
			writeError(w, refusal)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// refuse returns why a request may not pass, nil when it may.
func refuse(rule *hostRule, token string, r *http.Request) *apiError {
	switch {
	case !rule.allows(r.Host):
		return refusalf("host_not_allowed", "Host %q is not a name of this listener: ask it by its address or as localhost", r.Host)
	case !sameOrigin(r):
		return refusalf("origin_not_allowed", "the request comes from a page of another site (Origin %q)", r.Header.Get("Origin"))
	case crossSite(r):
		return refusalf("origin_not_allowed", "the request comes from a page of another site")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(changeHeader) != "1":
		return refusalf("header_missing", "a request that may change something needs the header %s: 1", changeHeader)
	case token != "" && !probe(r) && !authorised(token, r):
		return &apiError{status: http.StatusUnauthorized, code: "unauthorized",
			message: "this listener needs admin.token: send Authorization: Bearer <token>, or in a browser any name with the token as password"}
	}
	return nil
}

func refusalf(code, format string, args ...any) *apiError {
	e := apiErrorf(http.StatusForbidden, code, format, args...)
	return e
}

// sameOrigin reports whether Origin, where there is one, is the host that was asked. The scheme may
// differ: a proxy may speak TLS before this listener.
func sameOrigin(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	u, err := url.Parse(values[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, r.Host)
}

// crossSite reports a request that a page of another site makes, as browsers tell. Following a link to
// the page is no such request.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	link := r.Method == http.MethodGet && r.URL.Path == "/" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !link
}

// probe reports a request that needs no token: it learns one word.
func probe(r *http.Request) bool {
	return (r.URL.Path == "/livez" || r.URL.Path == "/readyz") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// authorised reports whether the request carries the token, as bearer or as password. The comparison
// takes the same time whatever was sent.
func authorised(token string, r *http.Request) bool {
	sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if _, sent, ok = r.BasicAuth(); !ok {
			return false
		}
	}
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
