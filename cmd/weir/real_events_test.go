package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// realEvents makes events as the PHP services of one company log them: several channels, one shape, and call sites that
// disagree about it. The same seed makes the same events.
type realEvents struct {
	rng  *rand.Rand
	last int
}

func newRealEvents() *realEvents { return &realEvents{rng: rand.New(rand.NewPCG(20261125, 1))} }

// realEvent is one of them. The number is at extra.n.
type realEvent struct {
	n   int
	raw string
	// odd names what is wrong with it, once the plain ones have made the mapping of an index; "" for nothing.
	odd string
}

// realFields are the fields of context as most call sites write them. A server without a mapping makes one of the first that it sees.
var realFields = []string{
	`"user_id":%d`, `"amount":%d`, `"user":{"id":%d,"name":"alice"}`, `"error":"timeout after %d ms"`, `"due":"2026-01-%02dT08:00:00Z"`, `"ok":true,"tries":%d`,
	`"http.status":%d,"http.method":"GET"`, `"ratio":%d.5`, `"tags":["a","b%d"]`, `"items":[{"sku":"x","price":{"eur":%d}}]`, `"note":"wrote 1.0, 12345678901234567890 and %d"`,
}

// realOddities are contexts that do not fit into the mapping which realFields make: every kind of conflict that operators know.
var realOddities = map[string]string{
	"text in a number":              `"user_id":"guest"`,
	"object in a number":            `"user_id":{"id":7}`,
	"number out of range":           `"amount":99999999999999999999999`,
	"list with text in a number":    `"amount":[1,"two"]`,
	"text in an object":             `"user":"alice"`,
	"list with a number in objects": `"user":[{"id":1},2]`,
	"object in a text":              `"error":{"class":"PDOException","code":7}`,
	"date of another format":        `"due":"next tuesday"`,
	"object in a date":              `"due":{"date":"2026-01-01 08:00:00.000000","timezone":"UTC"}`,
	"text in a boolean":             `"ok":"maybe"`,
	"value where dots made objects": `"http":"GET /"`,
	"dots below a number":           `"user_id.guest":true`,
	"text in a float":               `"ratio":"half"`,
	"text deep in a list":           `"items":[{"sku":"x","price":{"eur":"free"}}]`,
	"empty name":                    `"":1`,
	"name of dots":                  `"a..b":1`,
	"nested too deeply":             `"trace":` + strings.Repeat(`{"up":`, 24) + `1` + strings.Repeat(`}`, 24),
}

// realOddKinds are the names, in an order that does not change.
var realOddKinds = slices.Sorted(maps.Keys(realOddities))

var realChannels = []string{"payment", "auth", "queue", "mail", "http"}

// seeds makes one plain event for each field, so that a server that makes mappings by itself has seen all of them.
func (g *realEvents) seeds() []realEvent {
	var made []realEvent
	for _, field := range realFields {
		made = append(made, g.event(fmt.Sprintf(field, 1+g.rng.IntN(28)), ""))
	}
	return made
}

// plain makes events that fit.
func (g *realEvents) plain(count int) []realEvent {
	made := make([]realEvent, count)
	for i := range made {
		var context []string
		for _, field := range realFields {
			if g.rng.IntN(3) == 0 {
				context = append(context, fmt.Sprintf(field, 1+g.rng.IntN(28)))
			}
		}
		made[i] = g.event(strings.Join(context, ","), "")
	}
	return made
}

// mixed makes events of which one in five does not fit, every kind of oddity in turn.
func (g *realEvents) mixed(count int) []realEvent {
	made := g.plain(count)
	for i := range made {
		if i%5 == 4 {
			kind := realOddKinds[i/5%len(realOddKinds)]
			made[i] = numberedEvent(made[i].n, realOddities[kind], kind)
		}
	}
	return made
}

// large makes one event of about so many bytes.
func (g *realEvents) large(bytes int) realEvent {
	return g.event(`"note":"`+strings.Repeat("x", bytes)+`"`, "")
}

func (g *realEvents) event(context, odd string) realEvent {
	g.last++
	return numberedEvent(g.last, context, odd)
}

func numberedEvent(n int, context, odd string) realEvent {
	channel := realChannels[n%len(realChannels)]
	raw := fmt.Sprintf(`{"message":"%s: step %d of the nightly run, caf\u00e9","context":{%s},"level":%d,"level_name":"INFO","channel":%q,"datetime":"2026-11-25T%02d:%02d:%02d.%06d+00:00","extra":{"n":%d}}`,
		channel, n%7, context, 100*(1+n%4), channel, n/3600%24, n/60%60, n%60, n, n)
	return realEvent{n: n, raw: raw, odd: odd}
}
