package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Shape describes the requests of a plan.
type Shape struct {
	Path       string // of the URL
	Events     int    // of each request, as NDJSON when more than one
	EventBytes int    // of each event, exactly; at least MinEventBytes
	Variants   int    // different requests
	Seed       uint64
}

// MinEventBytes is the least size of a made event.
const MinEventBytes = 300

// Make returns requests to host with made events: Monolog's shape, ASCII, each event different. The same
// shape gives the same bytes.
func Make(host string, s Shape) []Request {
	rnd := rand.New(rand.NewPCG(s.Seed, 0x7765_6972))
	requests := make([]Request, s.Variants)
	for i := range requests {
		var body []byte
		for range s.Events {
			body = appendEvent(body, rnd, s.EventBytes)
			if s.Events > 1 {
				body = append(body, '\n')
			}
		}
		kind := "application/json"
		if s.Events > 1 {
			kind = "application/x-ndjson"
		}
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
			s.Path, host, kind, len(body))
		requests[i] = Request{Bytes: append([]byte(head), body...), Events: s.Events, Want: Accepted(s.Events)}
	}
	return requests
}

// Accepted returns the body of the answer that acknowledges n events.
func Accepted(n int) []byte {
	return append(strconv.AppendInt([]byte(`{"accepted":`), int64(n), 10), '}')
}

var (
	channels = []string{"app", "http", "queue", "db", "auth"}
	services = []string{"checkout", "catalog", "search", "mail", "billing"}
	levels   = []struct {
		number int
		name   string
	}{{200, "INFO"}, {300, "WARNING"}, {400, "ERROR"}, {250, "NOTICE"}}
	words = []string{"order", "timeout", "while", "calling", "upstream", "user", "cache", "miss", "retry", "job", "finished", "payment", "declined", "for", "session", "expired"}
)

// appendEvent appends one event of exactly size bytes, without a newline.
func appendEvent(b []byte, rnd *rand.Rand, size int) []byte {
	start := len(b)
	level := levels[rnd.IntN(len(levels))]
	tail := fmt.Sprintf(`","context":{"service":%q,"user_id":%d,"duration_ms":%d.%02d,"request_id":"%016x"},"level":%d,"level_name":%q,"channel":%q,"datetime":"2026-03-%02dT%02d:%02d:%02d.%06d+00:00","extra":{"host":"web-%02d","memory":%d}}`,
		services[rnd.IntN(len(services))], rnd.IntN(1_000_000), rnd.IntN(900), rnd.IntN(100), rnd.Uint64(), level.number, level.name,
		channels[rnd.IntN(len(channels))], 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60), rnd.IntN(1_000_000), rnd.IntN(40), rnd.IntN(1<<27))
	b = append(b, `{"message":"`...)
	end := start + size - len(tail)
	for len(b) < end {
		b = append(b, words[rnd.IntN(len(words))]...)
		b = append(b, ' ')
	}
	return append(b[:end], tail...)
}
