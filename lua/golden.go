package lua

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/wal"
)

// Limits of a file of golden events.
const (
	MaxGoldenEvents = 10_000
	MaxGoldenBytes  = 64 << 20
)

// GoldenPath is where the golden events of a script stand: transform.golden.ndjson beside transform.lua.
func GoldenPath(script string) string {
	return strings.TrimSuffix(script, filepath.Ext(script)) + ".golden.ndjson"
}

// GoldenEvent is a real event and what a script must make of it: a line of the file.
type GoldenEvent struct {
	Name       string       `json:"name"`           // for people
	From       string       `json:"from,omitempty"` // where it was captured
	Stream     string       `json:"stream"`
	Offset     wal.Offset   `json:"offset"`
	ReceivedAt time.Time    `json:"received_at"`
	Remote     netip.Addr   `json:"remote,omitzero"`
	Event      ExactJSON    `json:"event"`
	Want       GoldenResult `json:"want"`

	Line int `json:"-"` // in the file it was read from
}

// GoldenResult is what becomes of an event: one of the three.
type GoldenResult struct {
	Documents []GoldenDocument `json:"documents,omitempty"`
	Dropped   bool             `json:"dropped,omitempty"`
	Error     *GoldenError     `json:"error,omitempty"`
}

// GoldenDocument is a document as the script made it; a setting is empty where the script did not choose.
type GoldenDocument struct {
	Index    string    `json:"index,omitempty"`
	ID       string    `json:"id,omitempty"`
	Pipeline string    `json:"pipeline,omitempty"`
	Routing  string    `json:"routing,omitempty"`
	Source   ExactJSON `json:"source"`
}

// GoldenError is why a script failed. Message has no file and line, which change with every edit of the
// script, and is empty for an overrun limit, whose text holds the limit.
type GoldenError struct {
	Type    string `json:"type"`
	Message string `json:"message,omitempty"`

	whole string // the message with file and line, of a failure just now
}

// ExactJSON is a JSON object whose bytes survive a file with one value a line: compact text stands there as it
// is, any other text as a string that holds it.
type ExactJSON []byte

// MarshalJSON implements json.Marshaler; an encoder that escapes HTML changes the bytes.
func (e ExactJSON) MarshalJSON() ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, e); err != nil {
		return nil, err
	}
	if bytes.Equal(compact.Bytes(), e) {
		return e, nil
	}
	return rawjson.AppendQuoted(nil, []byte(e)), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *ExactJSON) UnmarshalJSON(b []byte) error {
	text := append([]byte(nil), b...)
	if rawjson.KindOf(b) == rawjson.String {
		text = rawjson.AppendUnquoted(nil, b)
	}
	*e = text
	return objectFault(text)
}

// AppendLine appends the event as a line of the file.
func (e *GoldenEvent) AppendLine(dst []byte) ([]byte, error) {
	for _, text := range append([]ExactJSON{e.Event}, e.Want.sources()...) {
		if !utf8.Valid(text) {
			return dst, errors.New("it is not UTF-8")
		}
	}
	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return dst, err
	}
	return b.Bytes(), nil
}

func (r *GoldenResult) sources() []ExactJSON {
	var sources []ExactJSON
	for i := range r.Documents {
		sources = append(sources, r.Documents[i].Source)
	}
	return sources
}

// EncodeGolden makes the content of a file. The error says which event or limit is at fault.
func EncodeGolden(events []GoldenEvent) ([]byte, error) {
	if len(events) > MaxGoldenEvents {
		return nil, fmt.Errorf("%d golden events, at most %d are allowed", len(events), MaxGoldenEvents)
	}
	var text []byte
	for i := range events {
		var err error
		if text, err = events[i].AppendLine(text); err != nil {
			return nil, fmt.Errorf("golden event %q: %w", events[i].Name, err)
		}
		if len(text) > MaxGoldenBytes {
			return nil, fmt.Errorf("the golden events take more than %d bytes", MaxGoldenBytes)
		}
	}
	return text, nil
}

// ReadGolden reads a file of golden events. A file that is not there is fs.ErrNotExist; any other error names
// file and line.
func ReadGolden(path string) ([]GoldenEvent, error) {
	if err := regular(path); err != nil {
		return nil, fmt.Errorf("read golden events: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read golden events: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxGoldenBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read golden events: %w", err)
	}
	events, err := decodeGolden(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return events, nil
}

func decodeGolden(text []byte) ([]GoldenEvent, error) {
	if len(text) > MaxGoldenBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", MaxGoldenBytes)
	}
	var events []GoldenEvent
	n := 0
	for line := range bytes.Lines(text) {
		if n++; len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(events) == MaxGoldenEvents {
			return nil, fmt.Errorf("the file holds more than %d events", MaxGoldenEvents)
		}
		e, err := decodeGoldenLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		e.Line = n
		events = append(events, e)
	}
	return events, nil
}

func decodeGoldenLine(line []byte) (e GoldenEvent, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields() // a misspelt wish would hold always
	if err := dec.Decode(&e); err != nil {
		return e, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return e, errors.New("there is more behind the event")
	}
	e.Stream = orDefault(e.Stream)
	return e, e.fault()
}

func orDefault(stream string) string {
	if stream == "" {
		return newTestEvent().record.Stream
	}
	return stream
}

func (e *GoldenEvent) fault() error {
	if e.Event == nil {
		return errors.New("it has no event")
	}
	results := 0
	for _, has := range []bool{len(e.Want.Documents) > 0, e.Want.Dropped, e.Want.Error != nil} {
		if has {
			results++
		}
	}
	if results != 1 {
		return errors.New(`want must be one of {"documents":[...]}, {"dropped":true} and {"error":{"type":...,"message":...}}`)
	}
	for i := range e.Want.Documents {
		if e.Want.Documents[i].Source == nil {
			return fmt.Errorf("document %d has no source", i+1)
		}
	}
	return nil
}
