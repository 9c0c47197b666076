package marks

import (
	"bytes"
	"fmt"
	"strconv"
)

const (
	prefix       = "weirmark"
	runDigits    = 8
	numberDigits = 12
	// Width is the length of a mark.
	Width = len(prefix) + runDigits + numberDigits
)

// Run tells the events of one round from those of another. One sink sees each once.
type Run uint32

// Blank returns the mark of number 0, to be overwritten by Put.
func (r Run) Blank() string {
	return fmt.Sprintf("%s%0*x%0*d", prefix, runDigits, uint32(r), numberDigits, 0)
}

// Places returns where the marks of the run stand in b, each once.
func (r Run) Places(b []byte) []int {
	var places []int
	mark := []byte(r.Blank())
	for at := 0; ; at += Width {
		i := bytes.Index(b[at:], mark)
		if i < 0 {
			return places
		}
		at += i
		places = append(places, at)
	}
}

// Put writes the number of an event into the mark at the beginning of b.
func Put(b []byte, number int64) {
	const digits = "0123456789abcdef"
	for i := Width - 1; i >= Width-numberDigits; i-- {
		b[i] = digits[number&15]
		number >>= 4
	}
}

// next finds the first mark in b and what is behind it.
func next(b []byte) (run Run, number int64, rest []byte, ok bool) {
	for {
		i := bytes.Index(b, []byte(prefix))
		if i < 0 || len(b)-i < Width {
			return 0, 0, nil, false
		}
		b = b[i:]
		head, err := strconv.ParseUint(string(b[len(prefix):Width-numberDigits]), 16, 32)
		if err == nil {
			number, err = strconv.ParseInt(string(b[Width-numberDigits:Width]), 16, 64)
		}
		if err == nil {
			return Run(head), number, b[Width:], true
		}
		b = b[len(prefix):] // another text that begins so
	}
}
