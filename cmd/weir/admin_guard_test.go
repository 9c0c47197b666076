package main

import (
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAdminGuard_RequestsThatMayNotPass(t *testing.T) {
	s := startService(t)
	addr := s.admin.Addr()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		method string
		path   string
		header []string
		status int
		code   string
	}{
		{"the listener's own address", "GET", "/api/v1/status", nil, 200, ""},
		{"localhost", "GET", "/api/v1/status", []string{"Host", "localhost:" + port}, 200, ""},
		{"localhost through a tunnel on another port", "GET", "/api/v1/status", []string{"Host", "LOCALHOST:9000"}, 200, ""},
		{"IPv6 loopback", "GET", "/api/v1/status", []string{"Host", "[::1]:" + port}, 200, ""},
		{"a rebound name", "GET", "/api/v1/status", []string{"Host", "evil.example:" + port}, 403, "host_not_allowed"},
		{"a name that begins like ours", "GET", "/", []string{"Host", "localhost.evil.example"}, 403, "host_not_allowed"},
		{"another machine's address", "GET", "/metrics", []string{"Host", "192.0.2.7"}, 403, "host_not_allowed"},
		{"the unspecified address", "GET", "/", []string{"Host", "0.0.0.0:" + port}, 403, "host_not_allowed"},
		{"profiles under a rebound name", "GET", "/debug/pprof/heap", []string{"Host", "evil.example"}, 403, "host_not_allowed"},
		{"liveness under a rebound name", "GET", "/livez", []string{"Host", "evil.example"}, 403, "host_not_allowed"},
		{"our own origin", "GET", "/api/v1/status", []string{"Origin", "http://" + addr}, 200, ""},
		{"our own origin behind TLS", "GET", "/api/v1/status", []string{"Origin", "https://" + addr}, 200, ""},
		{"another origin", "GET", "/api/v1/status", []string{"Origin", "http://evil.example"}, 403, "origin_not_allowed"},
		{"another port of this machine", "GET", "/api/v1/status", []string{"Origin", "http://127.0.0.1:1"}, 403, "origin_not_allowed"},
		{"an opaque origin", "POST", "/api/v1/reload", []string{"Origin", "null"}, 403, "origin_not_allowed"},
		{"an extension's origin", "GET", "/", []string{"Origin", "chrome-extension://" + addr}, 403, "origin_not_allowed"},
		{"two origins", "GET", "/", []string{"Origin", "http://" + addr, "Origin", "http://evil.example"}, 403, "origin_not_allowed"},
		{"an image of another site", "GET", "/debug/pprof/profile", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, "origin_not_allowed"},
		{"a neighbour on this host", "GET", "/api/v1/search", []string{"Sec-Fetch-Site", "same-site"}, 403, "origin_not_allowed"},
		{"a link from another site", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, ""},
		{"a frame in another site", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, "origin_not_allowed"},
		{"a link from another site to a profile", "GET", "/debug/pprof/profile", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403, "origin_not_allowed"},
		{"a form", "POST", "/api/v1/reload", []string{changeHeader, "", "Content-Type", "application/x-www-form-urlencoded"}, 403, "header_missing"},
		{"a change with another value of the header", "POST", "/api/v1/reload", []string{changeHeader, "", "x-weir", "yes"}, 403, "header_missing"},
		{"a drop without the header", "POST", "/api/v1/dead-letters/drop", []string{changeHeader, ""}, 403, "header_missing"},
		{"an edit without the header", "PUT", "/api/v1/dead-letters/0000000000000001-1-0/event", []string{changeHeader, ""}, 403, "header_missing"},
		{"a preflight", "OPTIONS", "/api/v1/reload", []string{changeHeader, "", "Origin", "http://evil.example", "Access-Control-Request-Headers", "x-weir"}, 403, "origin_not_allowed"},
		{"a change with the header", "POST", "/api/v1/reload", nil, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.ask(tt.method, tt.path, "", tt.header...)
			if got.status != tt.status {
				t.Fatalf("%d %s, want %d", got.status, got.body, tt.status)
			}
			if tt.code != "" && got.code(t) != tt.code {
				t.Errorf("%s, want code %s", got.body, tt.code)
			}
			if strings.Contains(strings.ToLower(headerText(got.header)), "access-control") {
				t.Errorf("another site is let in: %v", got.header)
			}
		})
	}
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b) // a Builder takes everything
	return b.String()
}

func TestAdminGuard_EveryAnswerHasTheSecurityHeaders(t *testing.T) {
	s := startService(t)
	for _, path := range []string{"/", "/livez", "/api/v1/status", "/nothing", "/metrics", "/debug/pprof/", "/assets/page.css", "/assets/", "/api/v1/wal/verify"} {
		h := s.ask("GET", path, "").header
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestAdminGuard_Token(t *testing.T) {
	s := startService(t, "WEIR_ADMIN_TOKEN=s3cret-token")
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+password))
	}
	tests := []struct {
		name, path, authorization string
		status                    int
	}{
		{"nothing", "/api/v1/status", "", 401},
		{"the page", "/", "", 401},
		{"metrics", "/metrics", "", 401},
		{"profiles", "/debug/pprof/heap", "", 401},
		{"assets", "/assets/page.js", "", 401},
		{"another token", "/api/v1/status", "Bearer s3cret-tokem", 401},
		{"the beginning of the token", "/api/v1/status", "Bearer s3cret", 401},
		{"an empty token", "/api/v1/status", "Bearer ", 401},
		{"an empty password", "/api/v1/status", basic(""), 401},
		{"the token as bearer", "/api/v1/status", "Bearer s3cret-token", 200},
		{"the token as password", "/", basic("s3cret-token"), 200},
		{"liveness for probes", "/livez", "", 200},
		{"readiness for probes", "/readyz", "", 200},
		{"something below liveness", "/livez/../api/v1/status", "", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.ask("GET", tt.path, "", "Authorization", tt.authorization)
			if got.status != tt.status {
				t.Fatalf("%d %s, want %d", got.status, got.body, tt.status)
			}
			if tt.status == 401 && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("a browser is not told how: %v", got.header)
			}
		})
	}
}

func TestAdminServer_WithoutTokenOnAllInterfaces_IsRefused(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "weir.example:0"} {
		cfg := DefaultConfig()
		cfg.Admin.Listen = listen
		if _, err := newAdminServer(&adminParts{cfg: &cfg}); err == nil || !strings.Contains(err.Error(), "admin.token") {
			t.Errorf("%s: %v, want an error that names admin.token", listen, err)
		}
	}
}

func TestHostRule_Allows(t *testing.T) {
	any := newHostRule(&net.TCPAddr{IP: net.IPv6unspecified, Port: 8081}, "weir.example:8081", []string{"Logs.Example"})
	one := newHostRule(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 5), Port: 8081}, "192.0.2.5:8081", nil)
	for _, tt := range []struct {
		name string
		rule hostRule
		host string
		want bool
	}{
		{"the name in admin.listen", any, "weir.example", true},
		{"a configured name in other letters", any, "LOGS.example:443", true},
		{"a name with the root's dot", any, "logs.example.", true},
		{"any address of a listener everywhere", any, "198.51.100.7:8081", true},
		{"an IPv6 address with brackets", any, "[2001:db8::1]:8081", true},
		{"another name", any, "evil.example", false},
		{"no host", any, "", false},
		{"digits that are no address", any, "1.2.3", false},
		{"its own address", one, "192.0.2.5", true},
		{"its own address, mapped to IPv6", one, "[::ffff:192.0.2.5]:8081", true},
		{"another address", one, "192.0.2.6", false},
		{"loopback, through a tunnel", one, "127.0.0.1:9000", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rule.allows(tt.host); got != tt.want {
				t.Errorf("allows %q: %v, want %v", tt.host, got, tt.want)
			}
		})
	}
}
