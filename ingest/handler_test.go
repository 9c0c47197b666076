package ingest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/weirlog/weir/wal"
)

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	body   string
	close  bool
}

// readReply reads one answer; method is that of its request.
func readReply(t testing.TB, r *bufio.Reader, method string) reply {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer's body: %v", err)
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// ask sends request on a connection of its own and returns the answer.
func ask(t testing.TB, addr, request string) reply {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("send: %v", err)
	}
	method, _, _ := strings.Cut(request, " ")
	return readReply(t, bufio.NewReader(c), method)
}

func refusalText(code, message string, retry bool) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":"%s","retry":%v}}`, code, strings.ReplaceAll(message, `"`, `\"`), retry)
}

func text(r *refusal) string { return refusalText(r.code, r.message, r.retryAfter > 0) }

func packed(t testing.TB, kind, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "deflate":
		w, err = flate.NewWriter(&b, 6)
	case "zstd":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	}
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err != nil || w.Close() != nil {
		t.Fatal("compress:", err)
	}
	return b.String()
}

const (
	chunkedHead = "POST /ingest HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\n"
	testEvent   = 256  // MaxEventBytes of these tests
	testBody    = 4096 // MaxBodyBytes of these tests
)

// exactly returns an event of n bytes.
func exactly(n int) string { return `{"m":"` + strings.Repeat("x", n-8) + `"}` }

// TestServer_Answers holds every kind of request against its status, its body and what the log was given.
func TestServer_Answers(t *testing.T) {
	message := func(f fault, position int) string {
		return string(problem{position: position, fault: f}.message())
	}
	listed := func(place string, number int, f fault, position int) string {
		return fmt.Sprintf(`{"%s":%d,"code":"%s","message":"%s"}`, place, number, faults[f].code,
			strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(message(f, position)))
	}
	alone := func(f fault, position, line int) string {
		whole := refusalText(faults[f].code, strings.ReplaceAll(message(f, position), `\`, `\\`), false)
		return whole[:len(whole)-1] + `,"errors":[` + listed("line", line, f, position) + `]}`
	}
	bomb := packed(t, "gzip", strings.Repeat(" ", 10<<20)+"{}")
	tests := []struct {
		name    string
		request string
		status  int
		body    string
		stored  []string // accepted payloads; a rejected one as "!code payload"
	}{
		// Bodies that are accepted.
		{"one object", post("/ingest", `{"a":1}`), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"what curl -d sends", post("/ingest", `{"a":1}`, "Content-Type: application/x-www-form-urlencoded"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"spelling is kept", post("/ingest", `{"b" : 1.0,"a":1e400,"a":"\u00e9\/"}`), 202, `{"accepted":1}`, []string{`{"b" : 1.0,"a":1e400,"a":"\u00e9\/"}`}},
		{"an object over several lines", post("/ingest", "\r\n{\r\n  \"a\": {\n    \"b\": 1\n  }\n}\n\n"), 202, `{"accepted":1}`, []string{"{\r\n  \"a\": {\n    \"b\": 1\n  }\n}"}},
		{"a byte order mark", post("/ingest", "\uFEFF{\"a\":1}"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"an array", post("/ingest", " [ {\"a\": 1} ,\n{}\t] \n"), 202, `{"accepted":2}`, []string{`{"a": 1}`, `{}`}},
		{"lines", post("/ingest", "{\"a\":1}\n{\"a\":2}\n", "Content-Type: application/x-ndjson"), 202, `{"accepted":2}`, []string{`{"a":1}`, `{"a":2}`}},
		{"lines without a content type", post("/ingest", "{\"a\":1}\n{\"a\":2}\n"), 202, `{"accepted":2}`, []string{`{"a":1}`, `{"a":2}`}},
		{"lines called JSON", post("/ingest", "{\"a\":1}\n{\"a\":2}\n", "Content-Type: application/json"), 202, `{"accepted":2}`, []string{`{"a":1}`, `{"a":2}`}},
		{"lines with empty ones, CRLF, blanks, no last newline", post("/ingest", "\r\n{\"a\":1}\r\n\n \t\n  {\"a\":2} \t\r\n\r\n{\"a\":3}"), 202, `{"accepted":3}`, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}},
		{"content type in capitals with a charset", post("/ingest", "{\"a\":1}\n1", "Content-Type: Application/X-NDJSON; charset=utf-8"), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("line", 2, faultNotObject, -1) + `]}`, []string{`{"a":1}`, `!not_an_object 1`}},
		{"chunks with an extension and a trailer", chunkedHead + "3;x=y\r\n{\"a\r\nA\r\n\":1}\n{\"b\":\r\n3 \r\n2}\n\r\n0\r\nX-Sum: 1\r\n\r\n", 202, `{"accepted":2}`, []string{`{"a":1}`, `{"b":2}`}},
		{"gzip", post("/ingest", packed(t, "gzip", `{"a":1}`), "Content-Encoding: gzip"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"gzip in capitals", post("/ingest", packed(t, "gzip", `{"a":1}`), "Content-Encoding: GZIP"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"gzip of several members", post("/ingest", packed(t, "gzip", "{\"a\":1}\n")+packed(t, "gzip", `{"a":2}`), "Content-Encoding: gzip"), 202, `{"accepted":2}`, []string{`{"a":1}`, `{"a":2}`}},
		{"zstd", post("/ingest", packed(t, "zstd", `{"a":1}`), "Content-Encoding: zstd"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"deflate with its zlib wrapper", post("/ingest", packed(t, "zlib", `{"a":1}`), "Content-Encoding: deflate"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"deflate without one", post("/ingest", packed(t, "deflate", `{"a":1}`), "Content-Encoding: deflate"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"identity", post("/ingest", `{"a":1}`, "Content-Encoding: identity"), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"a declared stream", post("/ingest/web?x=1", `{"a":1}`), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"the default stream by name", post("/ingest/default", `{"a":1}`), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"a whole URL as target", post("http://weir/ingest/web", `{"a":1}`), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"an escaped letter in the stream", post("/ingest/%77eb", `{"a":1}`), 202, `{"accepted":1}`, []string{`{"a":1}`}},
		{"an event of exactly the limit", post("/ingest", exactly(testEvent)), 202, `{"accepted":1}`, []string{exactly(testEvent)}},
		{"a body of exactly the limit", post("/ingest", `{}`+strings.Repeat(" ", testBody-2)), 202, `{"accepted":1}`, []string{`{}`}},

		// Some are rejected.
		{"a malformed line among good ones", post("/ingest", "{\"a\":1}\n{\"a\":\n\n{\"a\":3}"), 202, `{"accepted":2,"dead_lettered":1,"errors":[` + listed("line", 2, faultEnd, 5) + `]}`, []string{`{"a":1}`, `!malformed_json {"a":`, `{"a":3}`}},
		{"a malformed first line", post("/ingest", "{\"a\"\n{\"a\":2}\n"), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("line", 1, faultEnd, 4) + `]}`, []string{`!malformed_json {"a"`, `{"a":2}`}},
		{"garbage, a NUL and broken UTF-8 among good lines", post("/ingest", "{}\n\x00\x01\n{\"a\":\"\xff\"}\n{\"a\":\"\x00\"}"), 202, `{"accepted":1,"dead_lettered":3,"errors":[` + listed("line", 2, faultValue, 0) + `,` + listed("line", 3, faultUTF8, 6) + `,` + listed("line", 4, faultControl, 6) + `]}`, []string{`{}`, "!malformed_json \x00\x01", "!invalid_utf8 {\"a\":\"\xff\"}", "!malformed_json {\"a\":\"\x00\"}"}},
		{"two objects in a line", post("/ingest", "{}\n{} {}\n"), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("line", 2, faultTrailing, 3) + `]}`, []string{`{}`, `!malformed_json {} {}`}},
		{"a line over the limit among others", post("/ingest", "{}\n"+exactly(testEvent+1)), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("line", 2, faultTooLarge, -1) + `]}`, []string{`{}`, `!event_too_large ` + exactly(testEvent+1)}},
		{"elements that are no objects", post("/ingest", `[1,{},"a",null,[{}]]`), 202, `{"accepted":1,"dead_lettered":4,"errors":[` + listed("index", 0, faultNotObject, -1) + `,` + listed("index", 2, faultNotObject, -1) + `,` + listed("index", 3, faultNotObject, -1) + `,` + listed("index", 4, faultNotObject, -1) + `]}`, []string{`!not_an_object 1`, `{}`, `!not_an_object "a"`, `!not_an_object null`, `!not_an_object [{}]`}},
		{"an element with broken UTF-8", post("/ingest", "[{\"a\":\"]\xff\"},{}]"), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("index", 0, faultUTF8, 7) + `]}`, []string{"!invalid_utf8 {\"a\":\"]\xff\"}", `{}`}},
		{"an element that nests too deep", post("/ingest", `[{},`+strings.Repeat("[", 1001)+strings.Repeat("]", 1001)+`]`), 202, `{"accepted":1,"dead_lettered":1,"errors":[` + listed("index", 1, faultTooLarge, -1) + `]}`, []string{`{}`, `!event_too_large ` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001)}},

		// Nothing is accepted.
		{"an empty body", post("/ingest", ""), 400, text(refuseEmpty), nil},
		{"no body at all", "POST /ingest HTTP/1.1\r\nHost: weir\r\n\r\n", 400, text(refuseEmpty), nil},
		{"only white space", post("/ingest", " \r\n\t\n"), 400, text(refuseEmpty), nil},
		{"an empty array", post("/ingest", "[ ]"), 400, text(refuseEmpty), nil},
		{"an empty compressed body", post("/ingest", packed(t, "gzip", ""), "Content-Encoding: gzip"), 400, text(refuseEmpty), nil},
		{"garbage bytes", post("/ingest", "\x9c\x00garbage"), 400, alone(faultValue, 0, 1), nil},
		{"NUL bytes", post("/ingest", "\x00\x00\x00"), 400, alone(faultValue, 0, 1), nil},
		{"broken UTF-8", post("/ingest", "{\"a\":\"\xc3\"}"), 400, alone(faultUTF8, 6, 1), nil},
		{"a broken object over several lines", post("/ingest", "{\n  \"a\": [\n    {\"b\": 1}\n  ],,\n}"), 400, alone(faultKey, 28, 4), nil},
		{"two objects, each over several lines", post("/ingest", "{\n\"a\":1\n}\n{\n\"a\":2\n}"), 400, alone(faultTrailing, 10, 4), nil},
		{"nesting of 1,001", post("/ingest", strings.Repeat(`[`, 1002)), 400, arrayText(0, 1001, faultDepth), nil},
		{"a number", post("/ingest", "7"), 400, alone(faultNotObject, -1, 1), nil},
		{"an array cut off", post("/ingest", `[{},{}`), 400, arrayText(1, 6, faultEnd), nil},
		{"an array with a comma at its end", post("/ingest", `[{},]`), 400, arrayText(1, 4, faultValue), nil},
		{"an array with a malformed element", post("/ingest", `[{},{"a":tru}]`), 400, arrayText(1, 12, faultLiteral), nil},
		{"an array and more", post("/ingest", `[{}]{}`), 400, arrayText(0, 4, faultTrailing), nil},
		{"lines of which none is good", post("/ingest", "{\"a\"\n1", "Content-Type: application/x-ndjson"), 400, strings.TrimSuffix(text(refuseNothing), "}") + `,"errors":[` + listed("line", 1, faultEnd, 4) + `,` + listed("line", 2, faultNotObject, -1) + `]}`, nil},
		{"an event of one byte more than the limit", post("/ingest", exactly(testEvent+1)), 413, strings.TrimSuffix(text(refuseEvent), "}") + `,"errors":[` + listed("line", 1, faultTooLarge, -1) + `]}`, nil},
		{"more events than a request may hold", post("/ingest", strings.Repeat("{}\n", 101)), 413, text(refuseEvents), nil},
		{"truncated gzip", post("/ingest", packed(t, "gzip", `{"a":1}`)[:20], "Content-Encoding: gzip"), 400, text(refuseCorrupt), nil},
		{"gzip with a wrong checksum", post("/ingest", flip(packed(t, "gzip", `{"a":1}`), -6), "Content-Encoding: gzip"), 400, text(refuseCorrupt), nil},
		{"gzip with garbage after it", post("/ingest", packed(t, "gzip", `{"a":1}`)+"garbage", "Content-Encoding: gzip"), 400, text(refuseCorrupt), nil},
		{"what is no gzip", post("/ingest", `{"a":1}`, "Content-Encoding: gzip"), 400, text(refuseCorrupt), nil},
		{"truncated zstd", post("/ingest", packed(t, "zstd", `{"a":1}`)[:12], "Content-Encoding: zstd"), 400, text(refuseCorrupt), nil},
		{"zstd with garbage after it", post("/ingest", packed(t, "zstd", `{"a":1}`)+"garbage", "Content-Encoding: zstd"), 400, text(refuseCorrupt), nil},
		{"truncated zlib", post("/ingest", packed(t, "zlib", `{"a":1}`)[:9], "Content-Encoding: deflate"), 400, text(refuseCorrupt), nil},
		{"zlib with garbage after it", post("/ingest", packed(t, "zlib", `{"a":1}`)+"x", "Content-Encoding: deflate"), 400, text(refuseCorrupt), nil},
		{"raw deflate with garbage after it", post("/ingest", packed(t, "deflate", `{"a":1}`)+"x", "Content-Encoding: deflate"), 400, text(refuseCorrupt), nil},
		{"a bomb", post("/ingest", bomb[:min(len(bomb), testBody)], "Content-Encoding: gzip"), 413, text(refuseBody), nil},
		{"a zstd bomb", post("/ingest", packed(t, "zstd", strings.Repeat("a", 10<<20)), "Content-Encoding: zstd"), 413, text(refuseBody), nil},
		{"a deflate bomb", post("/ingest", packed(t, "deflate", strings.Repeat("a", 1<<20)), "Content-Encoding: deflate"), 413, text(refuseBody), nil},
		{"an unknown encoding", post("/ingest", "x", "Content-Encoding: br"), 415, text(refuseEncoding), nil},
		{"a list of encodings", post("/ingest", "x", "Content-Encoding: gzip, gzip"), 415, text(refuseEncoding), nil},
		{"encodings in two headers", post("/ingest", "x", "Content-Encoding: gzip", "Content-Encoding: gzip"), 415, text(refuseEncoding), nil},

		// Requests that are refused for what surrounds the body.
		{"an unknown stream", post("/ingest/nope", `{}`), 404, text(refuseStream), nil},
		{"a stream without a name", post("/ingest/", `{}`), 404, text(refuseStream), nil},
		{"a stream name that holds a path", post("/ingest/../etc/passwd", `{}`), 404, text(refuseStream), nil},
		{"a broken escape in the stream", post("/ingest/%zz", `{}`), 404, text(refuseStream), nil},
		{"an unknown path", post("/_bulk", `{}`), 404, text(refuseRoute), nil},
		{"GET /ingest", "GET /ingest HTTP/1.1\r\nHost: weir\r\n\r\n", 405, text(refuseNotPost), nil},
		{"HEAD /ingest", "HEAD /ingest HTTP/1.1\r\nHost: weir\r\n\r\n", 405, "", nil},
		{"OPTIONS /ingest", "OPTIONS /ingest HTTP/1.1\r\nHost: weir\r\n\r\n", 405, text(refuseNotPost), nil},
		{"POST /", post("/", `{}`), 405, text(refuseNotGet), nil},
		{"a Content-Length over the limit", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 4097\r\n\r\n", 413, text(refuseBody), nil},
		{"a Content-Length beyond numbers", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"a negative Content-Length", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: -1\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"a signed Content-Length", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: +2\r\n\r\n{}", 400, text(refuseBadRequest), nil},
		{"two Content-Lengths", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, text(refuseBadRequest), nil},
		{"Content-Length beside chunks", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"chunks beside Content-Length", "POST /ingest HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\ncontent-length : 2\r\n\r\n0\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"chunks in HTTP/1.0", "POST /ingest HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"an unknown transfer encoding", "POST /ingest HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"no host", "POST /ingest HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400, text(refuseBadRequest), nil},
		{"no HTTP at all", "\x16\x03\x01\x02\x00\x01\n\r\n", 400, text(refuseBadRequest), nil},
		{"a header without a name", "GET / HTTP/1.1\r\nHost: weir\r\n: x\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"a NUL in a header", "GET / HTTP/1.1\r\nHost: weir\r\nX-Request-Id: a\x00b\r\n\r\n", 400, text(refuseBadRequest), nil},
		{"too large a header", "GET / HTTP/1.1\r\nHost: weir\r\nX: " + strings.Repeat("x", headerBytes) + "\r\n\r\n", 431, text(refuseHeader), nil},
		{"an unknown expectation", "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\nExpect: magic\r\n\r\n", 417, text(refuseExpect), nil},
		{"a chunk size that is none", chunkedHead + "zz\r\n{}\r\n0\r\n\r\n", 400, text(refuseBadChunk), nil},
		{"a chunk size of many digits", chunkedHead + "FFFFFFFFFFFFFFFF\r\n", 400, text(refuseBadChunk), nil},
		{"a huge chunk", chunkedHead + "7FFFFFFF\r\n", 413, text(refuseBody), nil},
		{"a chunk that is longer than it says", chunkedHead + "1\r\n{}\r\n0\r\n\r\n", 400, text(refuseBadChunk), nil},
		{"a chunk line with a bare line feed", chunkedHead + "2\n{}\r\n0\r\n\r\n", 400, text(refuseBadChunk), nil},
		{"chunks that never end their trailers", chunkedHead + "2\r\n{}\r\n0\r\n" + strings.Repeat("a: b\r\n", 65), 400, text(refuseBadChunk), nil},
	}
	log := &scriptedLog{}
	s := startServer(t, Options{
		Log: log, Streams: []string{"web"}, Version: "1.2.3",
		MaxEventBytes: testEvent, MaxBodyBytes: testBody, MaxBodyEvents: 100,
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, s.addr, tt.request)
			if got.status != tt.status || got.body != tt.body {
				t.Errorf("answer\n %d %s\nwant\n %d %s", got.status, got.body, tt.status, tt.body)
			}
			if got.header.Get("Content-Type") != "application/json" || got.header.Get("Date") == "" {
				t.Errorf("header %v", got.header)
			}
			appends := log.take()
			var stored []string
			for _, a := range appends {
				for _, e := range a.events {
					text := string(e.Payload)
					if e.Flags&wal.FlagRejected != 0 {
						code, _, _ := strings.Cut(e.Reason, ":")
						text = "!" + code + " " + text
					}
					stored = append(stored, text)
				}
			}
			if strings.Join(stored, "\x01") != strings.Join(tt.stored, "\x01") || len(appends) > 1 {
				t.Errorf("stored %q in %d appends, want %q in one", stored, len(appends), tt.stored)
			}
		})
	}
}

// arrayText is the answer to an array that is broken in or after element index.
func arrayText(index, position int, f fault) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":"the array is broken at byte %d, so no event of it was taken: %s","retry":false},"errors":[{"index":%d,"code":%q,"message":"byte %d: %s"}]}`,
		faults[f].code, position, faults[f].message, index, faults[f].code, position, faults[f].message)
}

// flip returns s with one bit changed in the byte at i, from the end when i is negative.
func flip(s string, i int) string {
	b := []byte(s)
	b[(i+len(b))%len(b)] ^= 1
	return string(b)
}

func TestServer_Origin(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log, Streams: []string{"web"}})
	before := time.Now()
	ask(t, s.addr, post("/ingest/web", "{\"@timestamp\":1}\n{\"b\":1}\nx"))
	a := log.take()
	if len(a) != 1 || len(a[0].events) != 3 {
		t.Fatalf("appends: %+v", a)
	}
	o := a[0].origin
	if o.Stream != "web" || o.Remote.String() != "127.0.0.1" || o.ReceivedAt.Before(before) || o.ReceivedAt.After(time.Now()) {
		t.Errorf("origin %+v", o)
	}
	for i, want := range []wal.Flags{wal.FlagTimestamp, 0, wal.FlagRejected} {
		if got := a[0].events[i].Flags; got != want {
			t.Errorf("flags of event %d: %v, want %v", i, got, want)
		}
	}
	if got, want := a[0].events[2].Reason, "malformed_json: byte 0: "+faults[faultValue].message; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestServer_ErrorsAreBounded(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log})
	got := ask(t, s.addr, post("/ingest", "{}\n"+strings.Repeat("x\n", 250)))
	if n := strings.Count(got.body, `"line":`); n != maxListed || !strings.HasSuffix(got.body, `],"errors_omitted":150}`) {
		t.Errorf("%d errors listed; answer ends in %q", n, got.body[len(got.body)-40:])
	}
	if a := log.take(); len(a) != 1 || len(a[0].events) != 251 {
		t.Fatalf("appends: %d", len(a))
	} else if last := a[0].events[250]; last.Reason != faultReasons[faultValue] || last.Flags != wal.FlagRejected {
		t.Errorf("event that was not listed: %+v", last)
	}
}

func TestServer_AppendFails(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want *refusal
	}{
		{"the log is full", wal.ErrFull, refuseFull},
		{"the log has failed", fmt.Errorf("append: %w", wal.ErrFailed), refuseFailed},
		{"the commit failed", fmt.Errorf("append: %w", wal.ErrCommit), refuseCommit},
		{"the log is closed", wal.ErrClosed, refuseShutdown},
		{"an error that wal does not name", errors.New("?"), refuseCommit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := &scriptedLog{}
			log.fail(tt.err)
			s := startServer(t, Options{Log: log})
			got := ask(t, s.addr, post("/ingest", "{}\nx\n", "X-Request-Id: r1"))
			if got.status != 503 || got.body != text(tt.want) || got.header.Get("Retry-After") == "" || got.header.Get("X-Request-Id") != "r1" {
				t.Errorf("answer %+v, want %s", got, text(tt.want))
			}
		})
	}
}

// TestServer_NotReady_BodyUnderway: 503 comes at once, not after a body that cannot be stored.
func TestServer_NotReady_BodyUnderway(t *testing.T) {
	log := &scriptedLog{}
	log.fail(wal.ErrFull)
	s := startServer(t, Options{Log: log})
	got := ask(t, s.addr, "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: r2\r\nContent-Length: 100000\r\n\r\n{")
	if got.status != 503 || got.body != text(refuseFull) || got.header.Get("X-Request-Id") != "r2" || !got.close {
		t.Errorf("answer %+v", got)
	}
}

func TestServer_Greeting(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, Version: `1.2.3"`})
	want := `{"name":"weir","version":"1.2.3\"","ingest":"POST /ingest or /ingest/{stream}"}`
	if got := ask(t, s.addr, "GET / HTTP/1.1\r\nHost: weir\r\nX-Request-Id: g\r\n\r\n"); got.status != 200 || got.body != want || got.header.Get("X-Request-Id") != "g" {
		t.Errorf("GET: %+v", got)
	}
	got := ask(t, s.addr, "HEAD /?a=b HTTP/1.1\r\nHost: weir\r\n\r\n")
	if got.status != 200 || got.body != "" || got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("HEAD: %+v", got)
	}
}

func TestServer_RequestID(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, MaxBodyBytes: testBody, MaxEventBytes: testEvent})
	tests := []struct{ name, id, want string }{
		{"an ordinary id", "01J-abc/def=", "01J-abc/def="},
		{"letters above ASCII", "caf\xc3\xa9", "caf??"},
		{"too long an id", strings.Repeat("i", 500), strings.Repeat("i", maxRequestID)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/ingest", "/nope"} {
				if got := ask(t, s.addr, post(path, "{}", "x-request-id: "+tt.id)); got.header.Get("X-Request-Id") != tt.want {
					t.Errorf("%s: id %q, want %q", path, got.header.Get("X-Request-Id"), tt.want)
				}
			}
		})
	}
	if got := ask(t, s.addr, "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: big\r\nContent-Length: 99999\r\n\r\n"); got.status != 413 || got.header.Get("X-Request-Id") != "big" {
		t.Errorf("413: %+v", got)
	}
	if got := ask(t, s.addr, post("/ingest", "{}")); got.header.Values("X-Request-Id") != nil {
		t.Errorf("an id that nobody sent: %q", got.header.Values("X-Request-Id"))
	}
	if got := ask(t, s.addr, "GET /x HTTP/1.1\r\nHost: weir\r\n\r\n"); got.header.Get("Allow") != "" {
		t.Errorf("Allow on 404: %v", got.header)
	}
	for request, allow := range map[string]string{"GET /ingest": "POST", "DELETE /": "GET, HEAD"} {
		if got := ask(t, s.addr, request+" HTTP/1.1\r\nHost: weir\r\n\r\n"); got.header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q, want %q", request, got.header.Get("Allow"), allow)
		}
	}
}

// TestServer_HostileBodies sends what is made to hurt, at the limits that users have.
func TestServer_HostileBodies(t *testing.T) {
	bomb := strings.Repeat(packed(t, "gzip", strings.Repeat("[", 1<<20)), 200)
	tests := []struct {
		name, request string
		status        int
		code          string
	}{
		{"nesting of 100,000 objects", post("/ingest", strings.Repeat(`{"a":`, 100000)), 400, CodeTooDeep},
		{"nesting of 100,000 arrays", post("/ingest", strings.Repeat(`[`, 100000)), 400, CodeTooDeep},
		{"nesting of 100,000 with its ends, among others", post("/ingest", "[{},"+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+"]"), 202, CodeTooDeep},
		{"a key of 1 MB", post("/ingest", `{"`+strings.Repeat("k", 1000000)+`":1}`), 202, `{"accepted":1}`},
		{"a number of 10,000 digits", post("/ingest", `{"a":`+strings.Repeat("9", 10000)+`}`), 202, `{"accepted":1}`},
		{"32 MiB of empty lines", post("/ingest", strings.Repeat("\n", 32<<20)), 400, "empty_body"},
		{"32 MiB of two-byte events", post("/ingest", strings.Repeat("{}\n", 32<<20/3)), 413, "too_many_events"},
		{"32 MiB of faults", post("/ingest", strings.Repeat("x\n", 16<<20), "Content-Type: application/x-ndjson"), 413, "too_many_events"},
		{"32 MiB of opened strings", post("/ingest", strings.Repeat("{\"\n", 32<<20/3)), 400, CodeMalformedJSON},
		{"a bomb of 200 MiB", post("/ingest", bomb, "Content-Encoding: gzip"), 413, "body_too_large"},
	}
	s := startServer(t, Options{Log: &memoryLog{}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask(t, s.addr, tt.request); got.status != tt.status || !strings.Contains(got.body, tt.code) {
				t.Errorf("answer %d %.300s, want %d %s", got.status, got.body, tt.status, tt.code)
			}
		})
	}
}
