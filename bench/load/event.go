package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/weirlog/weir/bench/marks"
)

// Shape describes the requests of a plan.
type Shape struct {
	Path       string // of the URL
	Events     int    // of each request
	EventBytes int    // of each event as JSON, exactly; at least MinEventBytes, with marks MinMarkedBytes
	Variants   int    // different requests
	Seed       uint64
	Format     Format     // "": Object for one event, NDJSON for several
	Close      bool       // tells the server that no other request follows on the connection
	Run        *marks.Run // of the marks that the events carry; nil: none
}

// MinEventBytes is the least size of a made event. Below roomyBytes it has fewer members.
const (
	MinEventBytes  = 100
	MinMarkedBytes = roomyBytes + marks.Width - 16 // the mark stands where an id of 16 digits was
	roomyBytes     = 300
)

// Validate says what keeps Make from making such requests.
func (s *Shape) Validate() error {
	least := MinEventBytes
	if s.Run != nil {
		least = MinMarkedBytes
	}
	switch most := s.Format.MaxEvents(); {
	case s.Format != "" && !slices.Contains(Formats, s.Format):
		return fmt.Errorf("there is no format %q; write one of %v", s.Format, Formats)
	case s.Events < 1 || most > 0 && s.Events > most:
		return fmt.Errorf("%d events in a request of the format %s", s.Events, s.Format)
	case s.EventBytes < least:
		return fmt.Errorf("events of %d bytes; the least is %d", s.EventBytes, least)
	}
	return nil
}

// Make returns requests to host with made events: Monolog's shape, ASCII, each event different. The same
// shape gives the same bytes. It panics when the shape is not valid.
func Make(host string, s Shape) []Request {
	if s.Format == "" {
		s.Format = Object
		if s.Events > 1 {
			s.Format = NDJSON
		}
	}
	if err := s.Validate(); err != nil {
		panic("load: make requests: " + err.Error())
	}
	rnd := rand.New(rand.NewPCG(s.Seed, 0x7765_6972))
	requests := make([]Request, s.Variants)
	for i := range requests {
		events := make([][]byte, s.Events)
		for n := range events {
			events[n] = s.event(rnd)
		}
		body := s.Format.body(events)
		requests[i] = Request{Bytes: append(s.head(host, len(body)), body...), Events: s.Events, Want: Accepted(s.Events)}
		if s.Run != nil {
			requests[i].Marks = s.Run.Places(requests[i].Bytes)
		}
	}
	return requests
}

func (s *Shape) head(host string, length int) []byte {
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		s.Path, host, s.Format.contentType(), length)
	if s.Close {
		head = append(head, "Connection: close\r\n"...)
	}
	return append(head, "\r\n"...)
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

// event returns one event of exactly EventBytes, without a newline.
func (s *Shape) event(rnd *rand.Rand) []byte {
	level := levels[rnd.IntN(len(levels))]
	datetime := fmt.Sprintf("2026-03-%02dT%02d:%02d:%02d.%06d+00:00", 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60), rnd.IntN(1_000_000))
	tail := fmt.Sprintf(`","level_name":%q,"datetime":%q}`, level.name, datetime)
	if s.EventBytes >= roomyBytes {
		id := fmt.Sprintf("%016x", rnd.Uint64())
		if s.Run != nil {
			id = s.Run.Blank()
		}
		tail = fmt.Sprintf(`","context":{"service":%q,"user_id":%d,"duration_ms":%d.%02d,"request_id":%q},"level":%d,"level_name":%q,"channel":%q,"datetime":%q,"extra":{"host":"web-%02d","memory":%d}}`,
			services[rnd.IntN(len(services))], rnd.IntN(1_000_000), rnd.IntN(900), rnd.IntN(100), id, level.number, level.name,
			channels[rnd.IntN(len(channels))], datetime, rnd.IntN(40), rnd.IntN(1<<27))
	}
	b := append(make([]byte, 0, s.EventBytes+16), `{"message":"`...)
	end := s.EventBytes - len(tail)
	for len(b) < end {
		b = append(b, words[rnd.IntN(len(words))]...)
		b = append(b, ' ')
	}
	return append(b[:end], tail...)
}
