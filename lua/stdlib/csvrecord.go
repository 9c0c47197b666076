package stdlib

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Separator checks what is to stand between the fields of a record.
func Separator(s string) (rune, error) {
	c, width := utf8.DecodeRuneInString(s)
	if width == 0 || width != len(s) || c == utf8.RuneError || strings.ContainsRune("\"\r\n\x00", c) {
		return 0, fmt.Errorf("%q cannot separate fields; it takes one character, no quote and no line break", Excerpt(s))
	}
	return c, nil
}

// RecordCost is how many bytes CSVRecord allocates at most.
func RecordCost(text string, separator rune) int {
	const reader, perField = 8 << 10, 64
	return reader + 6*len(text) + perField*(strings.Count(text, string(separator))+1)
}

// CSVRecord reads one record, which may have line breaks within quotes and one at its end. The error says
// what is wrong with the text; it is nil, with no fields, when spend has said that there is no time.
func CSVRecord(text string, separator rune, spend Spend) ([]string, error) {
	source := &spendingText{text: text, spend: spend}
	r := csv.NewReader(source)
	r.Comma, r.FieldsPerRecord = separator, -1
	fields, err := r.Read()
	if err == nil {
		if _, more := r.Read(); more != io.EOF {
			err = errors.New("there is more than one record")
		}
	}
	if source.stopped {
		return nil, nil
	}
	return fields, recordError(err)
}

func recordError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("broken quotes in line %d, column %d: %w", e.Line, e.Column, e.Err)
	}
	if err == io.EOF {
		return errors.New("there is no record")
	}
	return err
}

// spendingText ends a text when there is no time left to read it.
type spendingText struct {
	text    string
	spend   Spend
	stopped bool
}

// Read implements io.Reader.
func (r *spendingText) Read(p []byte) (int, error) {
	n := copy(p, r.text)
	if n == 0 {
		return 0, io.EOF
	}
	if r.stopped = r.stopped || !r.spend(1+n>>4); r.stopped {
		return 0, io.EOF
	}
	r.text = r.text[n:]
	return n, nil
}
