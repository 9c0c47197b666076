package elastic_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// matrixFaults are the rows of the matrix.
var matrixFaults = slices.Concat(dialFaults(), cutFaults(), slowFaults(), tlsFaults(), statusFaults(), retryAfterFaults(), bodyFaults(), itemFaults(), clusterFaults())

// dialFaults keep connections from being made.
func dialFaults() []fault {
	fails := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	return []fault{
		{name: "dial: refused", dial: fails(wireError("connect", syscall.ECONNREFUSED))},
		{name: "dial: no route to host", dial: fails(wireError("connect", syscall.EHOSTUNREACH))},
		{name: "dial: no network", dial: fails(wireError("connect", syscall.ENETUNREACH))},
		{name: "dial: reset", dial: fails(wireError("connect", syscall.ECONNRESET))},
		{name: "dial: no descriptors left", dial: fails(wireError("socket", syscall.EMFILE))},
		{name: "dial: name unknown", dial: fails(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "node", IsNotFound: true}})},
		{name: "dial: name server broken", dial: fails(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "server misbehaving", Name: "node", IsTemporary: true}})},
		{name: "dial: name server silent", dial: silent(5*time.Second, &net.DNSError{Err: "i/o timeout", Name: "node", IsTimeout: true})},
		{name: "dial: silence", dial: silent(time.Hour, os.ErrDeadlineExceeded)},
	}
}

// silent fails when a time has passed or nobody waits any more. The dialer that weir uses by default gives up after 10s.
func silent(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, min(d, 10*time.Second))
		defer cancel()
		<-ctx.Done()
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
}

// cutFaults break a connection at each place of a request and of its answer, in each way.
func cutFaults() (faults []fault) {
	at := func(n int) func(int) int { return func(int) int { return n } }
	half := func(size int) int { return size / 2 }
	lastByte := func(size int) int { return size - 1 }
	places := []struct {
		name             string
		inAnswer, inBody bool
		at               func(int) int
	}{
		{"before the request", false, false, at(0)},
		{"in the request's head", false, false, at(20)},
		{"before the request's body", false, true, at(0)},
		{"in the request's body", false, true, half},
		{"before the request's last byte", false, true, lastByte},
		{"before the answer, stored", true, false, at(0)},
		{"in the answer's head, stored", true, false, at(20)},
		{"before the answer's body, stored", true, true, at(0)},
		{"in the answer's body, stored", true, true, half},
		{"before the answer's last byte, stored", true, true, lastByte},
	}
	for _, does := range []action{resets, closes, stalls} {
		for _, p := range places {
			faults = append(faults, fault{name: string(does) + ": " + p.name, cut: &cut{inAnswer: p.inAnswer, inBody: p.inBody, at: p.at, does: does}, stored: known(p.inAnswer)})
		}
	}
	return append(faults,
		fault{name: "close: after the request, not stored", answer: always(elastictest.Fault{CutBefore: true}), stored: no},
		fault{name: "reset: after the request, not stored", answer: always(elastictest.Fault{CutBefore: true, Reset: true}), stored: no},
	)
}

func known(stored bool) certainty {
	if stored {
		return yes
	}
	return no
}

func always(f elastictest.Fault) func(elastictest.Request) elastictest.Fault {
	return func(elastictest.Request) elastictest.Fault { return f }
}

// slowFaults take time. A request has 10s.
func slowFaults() []fault {
	start := func(int) int { return 0 }
	return []fault{
		{name: "slow: reads 1 kB/s", cut: &cut{inBody: true, at: start, does: slows, rate: 1000}, stored: no, settles: true},
		{name: "slow: reads 20 B/s, too slow", cut: &cut{inBody: true, at: start, does: slows, rate: 20}, stored: no},
		{name: "slow: answers 100 B/s", cut: &cut{inAnswer: true, at: start, does: slows, rate: 100}, stored: no, settles: true},
		{name: "slow: answers 10 B/s, too slow", cut: &cut{inAnswer: true, at: start, does: slows, rate: 10}, stored: yes},
		{name: "slow: answers after 4s", answer: always(elastictest.Fault{Delay: 4 * time.Second}), stored: no, settles: true},
		{name: "slow: stores after 15s, too slow", answer: always(elastictest.Fault{Delay: 15 * time.Second}), stored: yes},
	}
}

func tlsFaults() (faults []fault) {
	for _, trouble := range []tlsTrouble{wrongCA, expired, notYetValid, wrongName, oldProtocol, plainHTTP} {
		faults = append(faults, fault{name: "tls: " + string(trouble), tls: trouble, parks: true})
	}
	for _, trouble := range []tlsTrouble{handshakeStall, handshakeReset, handshakeClose, flippedEarly, flippedBit} {
		faults = append(faults, fault{name: "tls: " + string(trouble), tls: trouble})
	}
	faults[len(faults)-1].stored = yes
	return faults
}

// statusFaults are requests that are refused whole.
func statusFaults() []fault {
	const webPage = "<html><head><title>Sign in</title></head><body>please</body></html>"
	said := func(status int, typ, reason string) func(elastictest.Request) elastictest.Fault {
		return always(elastictest.Fault{Status: status, Body: fmt.Sprintf(`{"error":{"root_cause":[],"type":%q,"reason":%q},"status":%d}`, typ, reason, status)})
	}
	page := func(status int) func(elastictest.Request) elastictest.Fault {
		return always(elastictest.Fault{Status: status, ContentType: "text/html", Body: webPage})
	}
	location := func(status int, to string) func(elastictest.Request) elastictest.Fault {
		return always(elastictest.Fault{Status: status, Location: to})
	}
	overSize := func(r elastictest.Request) elastictest.Fault {
		if r.Bytes <= 1200 {
			return elastictest.Fault{}
		}
		return elastictest.Fault{Status: 413}
	}
	raw := func(answer string) func(elastictest.Request) elastictest.Fault {
		return always(elastictest.Fault{Raw: []byte(answer)})
	}
	return []fault{
		{name: "101", stored: byTurns, answer: raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")},
		{name: "202, no body", answer: always(elastictest.Fault{Status: 202})},
		{name: "204", answer: always(elastictest.Fault{Status: 204})},
		{name: "301 to elsewhere", answer: location(301, "http://10.0.0.1/_bulk"), parks: true},
		{name: "302 to a login page", answer: location(302, "https://sso/login"), parks: true},
		{name: "307 to itself", answer: location(307, "http://127.0.0.1:9200/_bulk"), parks: true},
		{name: "308 without location", answer: location(308, ""), parks: true},
		{name: "400, a web page", answer: page(400), parks: true},
		{name: "400 illegal argument", answer: said(400, "illegal_argument_exception", "Malformed action/metadata line [1]"), letters: true},
		{name: "400 body is required", answer: said(400, "parse_exception", "request body is required"), parks: true},
		{name: "400 unknown parameter", answer: said(400, "illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [x]"), parks: true},
		{name: "401", answer: said(401, "security_exception", "missing authentication credentials"), parks: true},
		{name: "403 security", answer: said(403, "security_exception", "action [indices:data/write/bulk] is unauthorized"), parks: true},
		{name: "403, a web page", answer: page(403), parks: true},
		{name: "404, a web page", answer: page(404), parks: true},
		{name: "404 no handler", answer: always(elastictest.Fault{Status: 404, Body: `{"error":"no handler found for uri [/_bulk]"}`}), parks: true},
		{name: "405", answer: always(elastictest.Fault{Status: 405, Body: `{"error":"Incorrect HTTP method"}`}), parks: true},
		{name: "406", answer: said(406, "media_type_header_exception", "Invalid media-type value"), parks: true},
		{name: "407 of a proxy", answer: page(407), parks: true},
		{name: "408 of a proxy", answer: page(408)},
		{name: "413, everything", answer: always(elastictest.Fault{Status: 413}), letters: true},
		{name: "413, over 1200 bytes", answer: overSize, letters: true},
		{name: "417", answer: page(417), parks: true},
		{name: "421", answer: page(421), parks: true},
		{name: "429 rejected", answer: said(429, "es_rejected_execution_exception", "rejected execution of coordinating operation")},
		{name: "429 circuit breaker", answer: said(429, "circuit_breaking_exception", "[parent] Data too large")},
		{name: "500", answer: said(500, "null_pointer_exception", "null")},
		{name: "500, a web page", answer: page(500)},
		{name: "501", answer: page(501)},
		{name: "502, a web page", answer: page(502)},
		{name: "503 no master", answer: said(503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];")},
		{name: "503, no body", answer: always(elastictest.Fault{Status: 503})},
		{name: "504, a web page", answer: page(504)},
		{name: "520, a web page", answer: page(520)},
		{name: "599", answer: page(599)},
		{name: "999", stored: byTurns, answer: raw("HTTP/1.1 999 What\r\nContent-Length: 2\r\n\r\n{}")},
	}
}

// retryAfterFaults say how long to keep away, in every spelling.
func retryAfterFaults() []fault {
	after := func(status int, value func() string) func(elastictest.Request) elastictest.Fault {
		return func(elastictest.Request) elastictest.Fault {
			return elastictest.Fault{Status: status, RetryAfter: value()}
		}
	}
	text := func(s string) func() string { return func() string { return s } }
	date := func(d time.Duration) func() string {
		return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	const huge = 24 * time.Hour
	return []fault{
		{name: "429, Retry-After: 12", answer: after(429, text("12")), pause: 12 * time.Second},
		{name: "429, Retry-After: 0", answer: after(429, text("0"))},
		{name: "429, Retry-After: a date", answer: after(429, date(12*time.Second)), pause: 11 * time.Second},
		{name: "429, Retry-After: a date long ago", answer: after(429, date(-huge))},
		{name: "429, Retry-After: garbage", answer: after(429, text("soon"))},
		{name: "429, Retry-After: -1", answer: after(429, text("-1"))},
		// An hour is the most that weir grants.
		{name: "429, Retry-After: a day", answer: after(429, text(strconv.Itoa(int(huge/time.Second)))), pause: time.Hour, patience: 90 * time.Minute},
		{name: "429, Retry-After: 30 digits", answer: after(429, text("123456789012345678901234567890"))},
		{name: "503, Retry-After: 12", answer: after(503, text("12")), pause: 12 * time.Second},
		{name: "503, Retry-After: a date", answer: after(503, date(12*time.Second)), pause: 11 * time.Second},
	}
}

// bodyFaults are answers of status 200 that are not what they should be. The documents are stored, or are not: who believes such
// an answer loses them.
func bodyFaults() []fault {
	mangled := func(name string, mangle func(b []byte) []byte) fault {
		return fault{name: "200: " + name, answer: always(elastictest.Fault{Mangle: mangle}), stored: byTurns}
	}
	is := func(name, body string) fault {
		return mangled(name, func([]byte) []byte { return []byte(body) })
	}
	replaced := func(name, old, by string) fault {
		re := regexp.MustCompile(old)
		return mangled(name, func(b []byte) []byte { return re.ReplaceAll(b, []byte(by)) })
	}
	raw := func(name, answer string) fault {
		return fault{name: "answer: " + name, answer: always(elastictest.Fault{Raw: []byte(answer)}), stored: byTurns}
	}
	believed := func(f fault) fault { // and rightly so
		f.stored, f.settles = no, true
		return f
	}
	once := func(f fault) fault { // the next answer tells of conflicts and is not struck
		f.stored, f.settles = yes, true
		return f
	}
	perItem := func(f fault) fault { f.perItem = true; return f }
	several := func(f fault) fault { // only where there is more than one document
		answer := f.answer
		f.answer = func(r elastictest.Request) elastictest.Fault {
			if r.Documents < 2 {
				return elastictest.Fault{}
			}
			return answer(r)
		}
		return f
	}
	nonsense := fault{name: "200: calls itself gzip and is not", stored: byTurns, answer: always(elastictest.Fault{
		Mangle: func([]byte) []byte { return []byte("\x1f\x8b\x08 nonsense") }, ContentEncoding: "gzip"})}
	return []fault{
		is("empty body", ""), is("a web page", "<!DOCTYPE html><title>Sign in</title>"), is("null", "null"), is("array", "[]"), is("text", "OK"),
		is("empty object", "{}"), is("no items", `{"errors":false}`), is("items of null", `{"errors":false,"items":null}`), is("items of nothing", `{"errors":false,"items":[]}`),
		is("zeros", "\x00\x00\x00\x00"), is("an error of status 200", `{"error":{"type":"x","reason":"y"},"status":500}`),
		mangled("cut in the middle", func(b []byte) []byte { return b[:len(b)/2] }),
		mangled("one byte short", func(b []byte) []byte { return b[:len(b)-1] }),
		mangled("more behind it", func(b []byte) []byte { return append(b, "{}"...) }),
		mangled("twice", func(b []byte) []byte { return append(b, b...) }),
		mangled("one item missing", withoutFirstItem),
		mangled("one item too many", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"items":[`), []byte(`"items":[{"create":{"_id":"x","status":201}},`), 1)
		}),
		believed(mangled("items in another order", reversedItems)),
		mangled("6 MiB of it", func(b []byte) []byte {
			return append(bytes.Repeat([]byte(" "), 6<<20), b...)
		}),
		mangled("a BOM before it", func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }),
		mangled("nested without end", func([]byte) []byte { return append([]byte(`{"x":`), bytes.Repeat([]byte("["), 100_000)...) }),
		replaced("items without status", `,"status":\d+`, ``),
		replaced("status as text", `"status":(\d+)`, `"status":"$1"`),
		replaced("status null", `"status":\d+`, `"status":null`),
		replaced("status 0", `"status":\d+`, `"status":0`),
		replaced("status 201.5", `"status":\d+`, `"status":201.5`),
		replaced("status of 20 digits", `"status":\d+`, `"status":20120120120120120120`),
		perItem(replaced("status 302 per item", `"status":\d+`, `"status":302`)),
		replaced("two lists of items", `"items":`, `"items":[],"items":`),
		once(replaced("errors flagged, none there", `"errors":false`, `"errors":true`)),
		replaced("no errors flag", `"errors":(true|false),`, ``),
		replaced("another op", `"create"`, `"delete"`),
		replaced("two ops in an item", `\{"create":\{`, `{"index":{},"create":{`),
		believed(replaced("ids that a pipeline chose", `"_id":"`, `"_id":"other-`)),
		several(mangled("one id missing", func(b []byte) []byte { // without any, places have to do, and are believed: there are such emulators
			from := bytes.Index(b, []byte(`"_id":`))
			return slices.Delete(b, from, from+bytes.IndexByte(b[from:], ',')+1)
		})),
		once(replaced("error and status 201", `"status":201`, `"status":201,"error":{"type":"x","reason":"y"}`)),
		nonsense,
		raw("no HTTP", "220 mail.example ESMTP ready\r\n"),
		raw("half a status line", "HTTP/1.1"),
		raw("a head without end", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-"),
		raw("broken length", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
		raw("length too long", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+`{"errors":false,"items":[`),
		raw("no length", "HTTP/1.1 200 OK\r\n\r\n"+`{"errors":false,"items":[`),
		raw("broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
		raw("chunks without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
	}
}

// withoutFirstItem takes the first entry out of an answer, which stays well-formed.
func withoutFirstItem(b []byte) []byte {
	head, items := splitItems(b)
	return joinItems(head, items[1:])
}

// reversedItems is no fault by itself: ids tell what belongs where.
func reversedItems(b []byte) []byte {
	head, items := splitItems(b)
	slices.Reverse(items)
	return joinItems(head, items)
}

func splitItems(b []byte) (head []byte, items [][]byte) {
	head, list, _ := bytes.Cut(bytes.TrimSuffix(b, []byte("]}")), []byte(`"items":[`))
	return head, bytes.SplitAfter(list, []byte("}},"))
}

func joinItems(head []byte, items [][]byte) []byte {
	b := append(bytes.Clone(head), `"items":[`...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, bytes.TrimSuffix(item, []byte(","))...)
	}
	return append(b, "]}"...)
}

// itemFaults are answers for documents: for each third one, or for all of one index.
func itemFaults() []fault {
	third := func(a elastictest.Answer) func(elastictest.Item) elastictest.Answer {
		return func(it elastictest.Item) elastictest.Answer {
			if number(it.Source)%3 != 0 {
				return elastictest.Answer{}
			}
			return a
		}
	}
	index := func(a elastictest.Answer) func(elastictest.Item) elastictest.Answer {
		return func(it elastictest.Item) elastictest.Answer {
			if it.Index != matrixIndex("default") {
				return elastictest.Answer{}
			}
			return a
		}
	}
	retried := func(status int, typ, reason string) fault {
		return fault{name: fmt.Sprintf("item %d %s", status, typ), item: third(elastictest.Answer{Status: status, Type: typ, Reason: reason})}
	}
	blocked := func(status int, typ, reason string) fault {
		return fault{name: fmt.Sprintf("index %d %s", status, typ), item: index(elastictest.Answer{Status: status, Type: typ, Reason: reason}), spares: true, parks: true}
	}
	letter := func(status int, typ, reason string) fault {
		f := retried(status, typ, reason)
		f.letters, f.settles = true, true
		return f
	}
	store := func(status int, what string, letters bool) fault {
		a := elastictest.Answer{Status: status, FailureStore: what}
		if status > 299 {
			a.Type, a.Reason = "document_parsing_exception", "[1:6] failed to parse field [n]"
		}
		return fault{name: "item, failure store " + what, item: third(a), letters: letters, settles: true}
	}
	floodStage := "index [logs-default] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"
	shards := "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"
	limited := letter(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded")
	limited.name += ", field limit"
	missing := blocked(400, "illegal_argument_exception", "pipeline with id [nope] does not exist")
	missing.name += ", no pipeline"
	return []fault{
		retried(408, "timeout", "emulated"),
		retried(429, "es_rejected_execution_exception", "rejected execution of primary operation"),
		retried(429, "circuit_breaking_exception", "[parent] Data too large"),
		retried(500, "mapper_exception", "timed out while waiting for a dynamic mapping update"),
		retried(503, "unavailable_shards_exception", "primary shard is not active"),
		retried(503, "node_closed_exception", "node closed"),
		retried(504, "", ""),

		blocked(403, "cluster_block_exception", "index [logs-default] blocked by: [FORBIDDEN/8/index write (api)];"),
		blocked(429, "cluster_block_exception", floodStage),
		blocked(403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized for API key"),
		blocked(404, "index_not_found_exception", "no such index [logs-default]"),
		blocked(400, "index_closed_exception", "closed"),
		blocked(400, "validation_exception", shards),
		missing,

		letter(400, "document_parsing_exception", "[1:6] failed to parse field [n] of type [long]"),
		letter(400, "mapper_parsing_exception", "failed to parse field [n] of type [long]"),
		letter(400, "strict_dynamic_mapping_exception", "mapping set to strict"),
		limited,
		letter(404, "document_missing_exception", "missing"),
		letter(409, "document_already_exists_exception", "another conflict"),
		letter(413, "", ""),
		letter(500, "fail_processor_exception", "the pipeline says no"),
		letter(500, "script_exception", "runtime error"),

		store(201, "used", false),
		store(400, "not_enabled", true),
		store(400, "failed", true),
		{name: "item 409, another writer's document", foreign: true, settles: true},
	}
}

// number is the n of an event.
func number(source []byte) int {
	var n int
	if _, err := fmt.Fscanf(bytes.NewReader(source), `{"n":%d`, &n); err != nil && err != io.EOF {
		return 0
	}
	return n
}

// clusterFaults strike a part of three nodes.
func clusterFaults() []fault {
	first := func(address string, _ time.Duration) bool { return isNode(address, 1) }
	firstTwo := func(address string, _ time.Duration) bool { return isNode(address, 1) || isNode(address, 2) }
	inTurn := func(address string, since time.Duration) bool { return isNode(address, 1+int(since/(5*time.Second))%3) }
	page := always(elastictest.Fault{Status: 200, ContentType: "text/html", Body: "<html></html>"})
	refused := func(context.Context) error { return wireError("connect", syscall.ECONNREFUSED) }
	start := func(int) int { return 0 }
	faults := []fault{
		{name: "refused", dial: refused, only: first},
		{name: "silent to dials", dial: silent(time.Hour, os.ErrDeadlineExceeded), only: first},
		{name: "unknown by name", dial: func(context.Context) error { return &net.DNSError{Err: "no such host", IsNotFound: true} }, only: first},
		{name: "answers 503", answer: always(elastictest.Fault{Status: 503}), only: first},
		{name: "answers 429", answer: always(elastictest.Fault{Status: 429}), only: first},
		{name: "answers 401", answer: always(elastictest.Fault{Status: 401}), only: first},
		{name: "answers a web page", answer: page, only: first},
		{name: "hangs", answer: always(elastictest.Fault{Delay: time.Minute}), only: first},
		{name: "is slow", answer: always(elastictest.Fault{Delay: 5 * time.Second}), only: first},
		{name: "loses its answers", cut: &cut{inAnswer: true, at: start, does: resets}, only: first},
		{name: "shows a wrong certificate", tls: wrongName, only: first},
	}
	for i := range faults {
		faults[i].name = "one of three nodes " + faults[i].name
	}
	faults = append(faults,
		fault{name: "two of three nodes refused", dial: refused, only: firstTwo},
		fault{name: "two of three nodes hang", answer: always(elastictest.Fault{Delay: time.Minute}), only: firstTwo},
		fault{name: "three nodes restart in turn", dial: refused, only: inTurn, turns: true},
		fault{name: "three nodes lose answers in turn", cut: &cut{inAnswer: true, at: start, does: resets}, only: inTurn},
	)
	for i := range faults {
		faults[i].nodes = 3
	}
	return faults
}

// isNode reports whether an address is that of node n, from 1.
func isNode(address string, n int) bool { return address == fmt.Sprintf("127.0.0.%d:9200", n) }
