//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal"
)

// tortureScript makes every way of settling an event happen. Its documents can be told apart by n and part.
const tortureScript = `
function transform(event, meta)
  if event.kind == "drop" then return nil end
  if event.kind == "fail" then error("asked to fail") end
  if event.kind == "split" then return { n = event.n, part = 1 }, { n = event.n, part = 2 } end
  return event
end
`

// tortureEvent is one event and what the world outside knows of it. Times are positions in the order of a recording (see
// cutfs), or any other number that grows; 0 means never.
type tortureEvent struct {
	n    int
	kind string // plain, split, drop, fail, refused (by the destination, for ever), bad (no JSON)
	raw  []byte // as it is sent, without line end
	// sent is when it may first have reached weir, acked when its answer had arrived.
	sent, acked int
	// replayed is when an operator asked for its letter to be sent again, removed when one asked for it to be dropped, gone
	// when he was told that it was.
	replayed, removed, gone int
}

// ledger knows every event that was ever sent. Its methods may be called concurrently.
type ledger struct {
	mu     sync.Mutex
	events map[int]*tortureEvent
	last   int
	mix    []string // kinds, each as often as it is made
	// damaged says that bytes were damaged on purpose: as many events may be missing as letters stand for damage.
	damaged bool
	// offsets says where in the log events stand, by number, where that is known: then letters have to name these places.
	offsets map[int]wal.Offset
	// alarms says that damage may be told of though nobody misses anything: an fsync failed before a restart, and what
	// the page cache still showed was not on the disk.
	alarms bool
}

func newLedger() *ledger { return &ledger{events: map[int]*tortureEvent{}, mix: tortureMix} }

// tortureMix makes many events that end in an unusual way.
var tortureMix = []string{"plain", "plain", "plain", "plain", "plain", "plain", "split", "drop", "fail", "refused", "bad"}

// make makes count events with random kinds and sizes and notes that they are sent at the given time. pad bounds
// the filling of each, in bytes.
func (l *ledger) make(rng *rand.Rand, count, pad, at int) []*tortureEvent {
	made := make([]*tortureEvent, count)
	for i := range made {
		made[i] = l.add(l.mix[rng.IntN(len(l.mix))], rng.IntN(pad+1), at)
	}
	return made
}

// makeKind makes one event of a kind.
func (l *ledger) makeKind(kind string, at int) *tortureEvent { return l.add(kind, 10, at) }

func (l *ledger) add(kind string, pad, at int) *tortureEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e := &tortureEvent{n: l.last, kind: kind, sent: at}
	e.raw = fmt.Appendf(nil, `{"n":%d,"kind":%q,"pad":%q}`, e.n, kind, strings.Repeat(string(rune('a'+e.n%26)), pad))
	if kind == "bad" {
		e.raw = e.raw[:len(e.raw)-1] // the brace that closes it
	}
	l.events[e.n] = e
	return e
}

// asked notes what an operator asked for, for all events of a kind so far.
func (l *ledger) asked(kind string, note func(e *tortureEvent, at int), at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.kind == kind {
			note(e, at)
		}
	}
}

// tortureBody is the request that sends the events, as NDJSON.
func tortureBody(events []*tortureEvent) []byte {
	var b bytes.Buffer
	for _, e := range events {
		b.Write(e.raw)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// ack notes that the answer to these events had arrived at the given time.
func (l *ledger) ack(events []*tortureEvent, at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		e.acked = at
	}
}

// eventNumber finds out which event a document or a letter was made of: every one of ours begins alike.
func eventNumber(b []byte) (int, bool) {
	var n int
	_, err := fmt.Sscanf(string(b[:min(len(b), 32)]), `{"n":%d`, &n)
	return n, err == nil
}

// tortureLetter is what a judge needs of a live dead letter.
type tortureLetter struct {
	Key     string
	Stage   flush.Stage
	Offset  wal.Offset // of the record in the main log that it stands for, or of the first of several; 0 for damage elsewhere
	Records int        // that it stands for; several for damage in the log
	Event   []byte     // as received; none for damage
	Rotten  bool       // it is listed, and its bytes cannot be read any more
}

// aftermath is what there is once weir was started on a data directory and has delivered all that it could.
type aftermath struct {
	docs    []elastictest.Doc // of the destination, those from before included
	letters []tortureLetter
}

// judge compares what the world knew at a time with what came of it.
func (l *ledger) judge(at int, a aftermath) verdict {
	var v verdict
	stored, parts := l.judgeDocs(at, a.docs, &v)
	letters, damaged := l.judgeLetters(at, a.letters, &v)
	var missing []string
	unclaimed := 0 // missing, and at a place that no letter names
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		known := e.acked != 0 && e.acked <= at
		want := documentsOfKind(e, at)
		have, letter := stored[e.n], letters[e.n]
		switch {
		case letter > 0 && e.gone != 0 && e.gone <= at:
			v.doubled = append(v.doubled, fmt.Sprintf("event %d (%s): its letter was dropped and is there again", e.n, e.kind))
		case have > want || letter > 1:
			v.doubled = append(v.doubled, fmt.Sprintf("event %d (%s): %d documents and %d letters", e.n, e.kind, have, letter))
		case e.kind == "split" && have > 0 && parts[e.n] != 1<<have-1:
			v.doubled = append(v.doubled, fmt.Sprintf("event %d (%s): parts %b", e.n, e.kind, parts[e.n]))
		case !known && have > 0 && have < want && letter == 0 && e.removed == 0: // what was delivered in part was durable
			missing = append(missing, fmt.Sprintf("event %d (%s), not acknowledged: %d documents of %d, no letter", e.n, e.kind, have, want))
		case !known || letter == 1 || e.kind == "drop":
		case e.removed != 0 && e.removed <= at: // somebody asked for it to be gone
		case have < want || want == 0:
			if o, ok := l.offsets[e.n]; ok && !claimed(a.letters, o) {
				unclaimed++
			}
			missing = append(missing, fmt.Sprintf("event %d (%s): %d documents of %d, no letter", e.n, e.kind, have, want))
		}
	}
	if len(missing) > damaged || unclaimed > 0 || len(missing) > 0 && !l.damaged {
		v.lost = append(v.lost, missing...)
	}
	if damaged > 0 && !l.damaged && !l.alarms {
		v.lost = append(v.lost, fmt.Sprintf("%d records or letters are said to be damaged, and nobody damaged anything", damaged))
	}
	return v
}

// claimed reports whether a letter stands for damage at an offset of the log.
func claimed(letters []tortureLetter, o wal.Offset) bool {
	for _, l := range letters {
		if l.Stage == flush.StageLog && l.Offset != 0 && l.Offset <= o && o < l.Offset+wal.Offset(l.Records) {
			return true
		}
	}
	return false
}

// documentsOfKind says how many documents an event may become: a refused one becomes one when it was replayed
// to a destination that takes it.
func documentsOfKind(e *tortureEvent, at int) int {
	switch {
	case e.kind == "split":
		return 2
	case e.kind == "plain", e.kind == "refused" && e.replayed != 0 && e.replayed <= at:
		return 1
	}
	return 0
}

// judgeDocs counts documents by event, and finds those that nobody sent.
func (l *ledger) judgeDocs(at int, docs []elastictest.Doc, v *verdict) (stored map[int]int, parts map[int]uint) {
	stored, parts = map[int]int{}, map[int]uint{}
	for _, d := range docs {
		if d.Created == 0 {
			continue // it only came, and failed
		}
		e := l.sentBefore(at, d.Source)
		if e == nil {
			v.invented = append(v.invented, fmt.Sprintf("document %s: %.200q", d.ID, d.Source))
			continue
		}
		if d.Differed > 0 {
			v.doubled = append(v.doubled, fmt.Sprintf("document %s came again with another body", d.ID))
		}
		if d.Created > 1 {
			v.doubled = append(v.doubled, fmt.Sprintf("document %s was created %d times", d.ID, d.Created))
		}
		stored[e.n]++
		if e.kind == "split" {
			var doc struct{ Part uint }
			if err := json.Unmarshal(d.Source, &doc); err != nil || doc.Part < 1 || doc.Part > 2 {
				v.invented = append(v.invented, fmt.Sprintf("document %s: %.200q", d.ID, d.Source))
				continue
			}
			parts[e.n] |= 1 << (doc.Part - 1)
		} else if !bytes.Equal(d.Source, e.raw) {
			v.invented = append(v.invented, fmt.Sprintf("document %s is %.200q, event %d is %.200q", d.ID, d.Source, e.n, e.raw))
		}
	}
	return stored, parts
}

// judgeLetters counts letters by event, and the records that letters of stage log stand for.
func (l *ledger) judgeLetters(at int, all []tortureLetter, v *verdict) (letters map[int]int, damaged int) {
	letters = map[int]int{}
	for _, letter := range all {
		if letter.Stage == flush.StageLog || letter.Rotten {
			damaged += letter.Records
			continue
		}
		e := l.sentBefore(at, letter.Event)
		switch {
		case e == nil || !bytes.Equal(letter.Event, e.raw):
			v.invented = append(v.invented, fmt.Sprintf("letter %s: %.200q", letter.Key, letter.Event))
		case e.kind == "plain", e.kind == "split", e.kind == "drop":
			v.doubled = append(v.doubled, fmt.Sprintf("letter %s for event %d (%s), which has no reason to be one", letter.Key, e.n, e.kind))
		default:
			letters[e.n]++
		}
	}
	return letters, damaged
}

// sentBefore returns the event of which b is a document or a letter, if it had been sent by then.
func (l *ledger) sentBefore(at int, b []byte) *tortureEvent {
	n, ok := eventNumber(b)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.events[n]; e != nil && e.sent <= at {
		return e
	}
	return nil
}
