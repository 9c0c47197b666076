package transform

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// MinEventBytes is the least size of a made event.
const MinEventBytes = 310

// Events returns n events in Monolog's shape, of exactly size bytes each, as PHP writes them ("\/" for a slash).
// No two are alike, and neither are their contexts: see contexts. The same arguments give the same bytes.
func Events(n, size int, seed uint64) [][]byte {
	rnd := rand.New(rand.NewPCG(seed, 0x6c75_6121))
	events := make([][]byte, n)
	for i := range events {
		events[i] = appendEvent(make([]byte, 0, size), rnd, size)
	}
	return events
}

var (
	channels = []string{"app", "http", "queue", "db", "auth"}
	services = []string{"checkout", "catalog", "search", "mail", "billing"}
	levels   = []struct {
		number int
		name   string
	}{{100, "DEBUG"}, {200, "INFO"}, {250, "NOTICE"}, {300, "WARNING"}, {400, "ERROR"}}
	words = []string{"order", "timeout", "while", "calling", "upstream", "cache", "miss", "retry", "job", "finished", "payment", "declined",
		"for", "session", "expired", "Grüße", `\"quoted\"`, `\/srv\/app`, `\u00e9t\u00e9`}
)

// contexts are what the member context may be. The last one has no service.
var contexts = []func(rnd *rand.Rand) string{
	func(rnd *rand.Rand) string {
		return fmt.Sprintf(`{"service":%q,"user_id":%d,"duration_ms":%d.%02d}`, pick(rnd, services), rnd.IntN(1_000_000), rnd.IntN(900), 1+rnd.IntN(99))
	},
	func(rnd *rand.Rand) string {
		return fmt.Sprintf(`{"request":{"method":"POST","path":"\/orders\/%d","status":%d},"service":%q}`, rnd.IntN(100_000), 200+rnd.IntN(300), pick(rnd, services))
	},
	func(rnd *rand.Rand) string {
		return fmt.Sprintf(`{"service":%q,"exception":{"class":"App\\NotFound","line":%d},"user_id":null}`, pick(rnd, services), rnd.IntN(900))
	},
	func(rnd *rand.Rand) string {
		return fmt.Sprintf(`{"roles":["admin","staff"],"service":%q,"duration_ms":%d}`, pick(rnd, services), rnd.IntN(10_000))
	},
	func(rnd *rand.Rand) string {
		return fmt.Sprintf(`{"job":"Mail%d","attempts":%d,"trace_id":"%016x"}`, rnd.IntN(1000), rnd.IntN(9), rnd.Uint64())
	},
}

func pick(rnd *rand.Rand, from []string) string { return from[rnd.IntN(len(from))] }

// appendEvent appends one event of exactly size bytes. Its message fills what the other members leave.
func appendEvent(b []byte, rnd *rand.Rand, size int) []byte {
	start := len(b)
	level := levels[rnd.IntN(len(levels))]
	tail := fmt.Sprintf(`","context":%s,"level":%d,"level_name":%q,"channel":%q,"datetime":"2026-03-%02dT%02d:%02d:%02d.%06d+00:00","extra":{"uid":"%07x","pid":%d}}`,
		contexts[rnd.IntN(len(contexts))](rnd), level.number, level.name, pick(rnd, channels), 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60),
		rnd.IntN(60), rnd.IntN(1_000_000), rnd.IntN(1<<28), rnd.IntN(1<<22))
	b = fmt.Appendf(b, `{"message":"user %d of web%d@example.org `, rnd.IntN(1_000_000), rnd.IntN(1000))
	end := start + size - len(tail)
	for {
		word := pick(rnd, words)
		if len(b)+len(word)+1 > end {
			break
		}
		b = append(append(b, word...), ' ')
	}
	b = append(b, strings.Repeat(".", end-len(b))...)
	return append(b, tail...)
}
