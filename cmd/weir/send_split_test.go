package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// splitAll returns the events of text from pos on, and where each ends.
func splitAll(t *testing.T, text string, format sourceFormat, pos position) (events []string, ends []position, err error) {
	t.Helper()
	s, err := newSplitter(iotest.HalfReader(strings.NewReader(text[pos.Bytes:])), format, 1<<20, pos)
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return events, ends, nil
		}
		if err != nil {
			return events, ends, err
		}
		events = append(events, string(e.data))
		ends = append(ends, e.after)
	}
}

func TestSplitter_Next_GoesOnBehindEveryEvent(t *testing.T) {
	tests := []struct {
		format sourceFormat
		text   string
		want   []string
	}{
		{formatNDJSON, "\n{\"a\":1}\r\n\r\n{\"b\n {\"c\":2} \n[]", []string{`{"a":1}`, `{"b`, ` {"c":2} `, `[]`}},
		{formatJSON, "[{\"a\":\"]}\\\\\"},\n1 , \"x,\\\"\",\t[[]]\n,true] {} 17\n[{}]", []string{`{"a":"]}\\"}`, `1`, `"x,\""`, `[[]]`, `true`, `{}`, `17`, `{}`}},
		{formatJSON, "[]\n[ ]", nil},
		{formatLines, "a\n\nb", []string{`{"message":"a"}`, `{"message":"b"}`}},
	}
	for _, tt := range tests {
		events, ends, err := splitAll(t, tt.text, tt.format, position{})
		if err != nil || !reflect.DeepEqual(events, tt.want) {
			t.Errorf("%q: events %q, %v, want %q", tt.text, events, err, tt.want)
			continue
		}
		for i, end := range ends {
			rest, _, err := splitAll(t, tt.text, tt.format, end)
			if err != nil || len(rest) != len(events)-i-1 || len(rest) > 0 && !reflect.DeepEqual(rest, events[i+1:]) {
				t.Errorf("%q behind event %d: %q, %v, want %q", tt.text, i, rest, err, events[i+1:])
			}
		}
	}
}

func TestSplitter_Next_BrokenJSON(t *testing.T) {
	tests := []struct {
		text, says string
		before     int // events that still come
	}{
		{"[{},\n{\"a\":", "line 2: the event that begins here is not complete", 1},
		{"[{}\n{}]", "line 2: a comma is missing", 1},
		{"[{},\n", "line 2: the array is not complete", 1},
		{"[,{}]", "line 1: ',' stands where an event should begin", 0},
		{"{}\n}", "line 2: '}' stands where", 1},
	}
	for _, tt := range tests {
		events, _, err := splitAll(t, tt.text, formatJSON, position{})
		if err == nil || !strings.Contains(err.Error(), tt.says) || len(events) != tt.before {
			t.Errorf("%q: %d events, %v, want %d and %q", tt.text, len(events), err, tt.before, tt.says)
		}
	}
}

func TestDetectFormat(t *testing.T) {
	tests := []struct {
		head string
		want sourceFormat
	}{
		{"", formatNDJSON},
		{"{\"a\":1}\n{", formatNDJSON},
		{"{\"a\":{\"b\":[1]}} \n", formatNDJSON},
		{"{\"a\":\"cut sho\n{\"a\":1}\n", formatNDJSON},
		{"{\"a\":{\"b\":1\n{\"a\":1}\n", formatNDJSON},
		{"{\"a\":1", formatNDJSON},
		{"text\n{\"a\":1}", formatNDJSON},
		{" \n[", formatJSON},
		{"{\n  \"a\": 1\n}", formatJSON},
		{"{\"a\": [\n{\"b\":1}]}", formatJSON},
		{"{ \"a\": 1\n}", formatJSON},
		{"{\"a\":1}{\"a\":2}", formatJSON},
		{"{\"a\":1} trailing", formatNDJSON},
		{"{\"a\":\"\\\\\",\n\"b\":1}", formatJSON},
	}
	for _, tt := range tests {
		if got := detectFormat([]byte(tt.head)); got != tt.want {
			t.Errorf("detectFormat(%q) = %s, want %s", tt.head, got, tt.want)
		}
	}
}

func TestSplitter_Next_LongLineIsNotKept(t *testing.T) {
	text := "{}\n" + strings.Repeat("x", 3*splitterBuffer) + "\n{}\n"
	s, err := newSplitter(strings.NewReader(text), formatNDJSON, 1000, position{})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for range 3 {
		e, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, e.size)
		if cap(s.buf) > 2048 {
			t.Errorf("%d bytes kept of a line over the limit of 1000", cap(s.buf))
		}
	}
	if want := []int64{2, 3*splitterBuffer + 1, 2}; !reflect.DeepEqual(sizes, want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
}

// An array that encoding/json takes is cut into the elements that encoding/json sees.
func FuzzSplitter_Array(f *testing.F) {
	for _, seed := range []string{`[{"a":"]\\\""},[1,{}],"x",1e5,null]`, ` [ ] `, `[[[]]]`, `[{"a":1}`, "[\"\xff\"]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		events, ends, err := splitAll(t, string(text), formatJSON, position{})
		if len(ends) > 0 && ends[len(ends)-1].Bytes > int64(len(text)) {
			t.Errorf("position %d of %d bytes", ends[len(ends)-1].Bytes, len(text))
		}
		var want []json.RawMessage
		if bytes.TrimLeft(text, " \r\n\t\xef\xbb\xbf") == nil || json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		if err != nil || len(events) != len(want) {
			t.Fatalf("%q: %d events, %v, want %d", text, len(events), err, len(want))
		}
		for i := range want {
			if events[i] != string(want[i]) {
				t.Errorf("%q: event %d is %q, want %q", text, i, events[i], want[i])
			}
		}
	})
}

func FuzzAppendMessage(f *testing.F) {
	f.Add([]byte("a\"\\\x00\xff\xc3\xa4"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var got struct{ Message string }
		event := appendMessage(nil, line)
		if err := json.Unmarshal(event, &got); err != nil || !utf8.Valid(event) {
			t.Fatalf("%q becomes %q: %v", line, event, err)
		}
		if utf8.Valid(line) && got.Message != string(line) {
			t.Errorf("%q becomes %q", line, got.Message)
		}
	})
}
