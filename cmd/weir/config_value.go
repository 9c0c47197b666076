package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/flush/elastic"
)

// Bytes is a size. It is written with a unit (16MiB, 16MB) or as a plain number of bytes.
type Bytes int64

// Duration is a time span, written with a unit (250ms, 10m).
type Duration time.Duration

// Share is a part of a whole, from 0 to 1. It is written in percent (5%) or as a fraction (0.05).
type Share float64

// FileMode is the permission bits of a file, written in octal digits ("0660").
type FileMode fs.FileMode

// Secret is a credential. Every way of printing it shows a mask; only Reveal returns it.
type Secret string

// HeaderList holds headers as "Name: value". The values are secrets: every way of printing it shows the names only.
type HeaderList []string

const secretMask = "********"

var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

var sizePattern = regexp.MustCompile(`^([0-9]+)(\.[0-9]+)?\s*([A-Za-z]*)$`)

const sizeRemedy = "write a number and one of B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), for example 16MiB"

// ParseBytes reads a size: a whole number of bytes, or a number with a unit in any case of letters.
func ParseBytes(s string) (Bytes, error) {
	m := sizePattern.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size; %s", s, sizeRemedy)
	}
	size, err := unitSize(m[3])
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, err)
	}
	whole, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || whole > math.MaxInt64/size-1 {
		return 0, fmt.Errorf("%q is too large a size", s)
	}
	total := whole * size
	if m[2] != "" {
		part, err := strconv.ParseFloat("0"+m[2], 64)
		if err != nil || size == 1 {
			return 0, fmt.Errorf("%q is not a whole number of bytes; %s", s, sizeRemedy)
		}
		total += int64(part * float64(size))
	}
	return Bytes(total), nil
}

func unitSize(unit string) (int64, error) {
	if unit == "" {
		return 1, nil
	}
	for _, u := range byteUnits {
		if strings.EqualFold(u.name, unit) {
			return u.size, nil
		}
	}
	return 0, fmt.Errorf("%s is not a unit of size; %s", unit, sizeRemedy)
}

// String returns the size exactly, with the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && u.size > 1 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

const durationRemedy = "write a number and one of ms, s, m, h, for example 250ms"

// ParseDuration reads a time span; only 0 may go without a unit.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(s))
	switch {
	case err != nil && isNumber(s):
		return 0, fmt.Errorf("%q has no unit; %s", s, durationRemedy)
	case err != nil:
		return 0, fmt.Errorf("%q is not a time span; %s", s, durationRemedy)
	case d < 0:
		return 0, fmt.Errorf("%q is negative; %s", s, durationRemedy)
	}
	return Duration(d), nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the span without the zero units that time.Duration prints: 10m, not 10m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseShare reads a share.
func parseShare(s string) (Share, error) {
	text, inPercent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if inPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) { // not a number is neither
		return 0, fmt.Errorf("%q is not a share; write a percentage from 0%% to 100%%, for example 5%%", s)
	}
	return Share(v), nil
}

// String returns the share in percent.
func (s Share) String() string {
	return strconv.FormatFloat(math.Round(float64(s)*1e8)/1e6, 'f', -1, 64) + "%"
}

func parseFileMode(s string) (FileMode, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || v > 0o777 {
		return 0, fmt.Errorf("%q is not a file mode; write octal digits in quotes, for example \"0660\"", s)
	}
	return FileMode(v), nil
}

// String returns the mode as it is written: four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// Reveal returns the credential itself, for the one place that sends or compares it.
func (s Secret) Reveal() string { return string(s) }

// String returns a mask, or nothing when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return secretMask
}

// GoString keeps %#v from printing the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue keeps slog from printing the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps encoders from writing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// masked returns the list with a mask in place of each value.
func (h HeaderList) masked() []string {
	list := make([]string, len(h))
	for i, line := range h {
		name, _, ok := cutHeader(line)
		if list[i] = name + ": " + secretMask; !ok {
			list[i] = secretMask
		}
	}
	return list
}

// cutHeader parts a header at its colon.
func cutHeader(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

// String returns the names.
func (h HeaderList) String() string { return fmt.Sprint(h.masked()) }

// GoString keeps %#v from printing the values.
func (h HeaderList) GoString() string { return fmt.Sprintf("%q", h.masked()) }

// LogValue keeps slog from printing the values.
func (h HeaderList) LogValue() slog.Value { return slog.AnyValue(h.masked()) }

// MarshalJSON keeps encoders from writing the values.
func (h HeaderList) MarshalJSON() ([]byte, error) { return json.Marshal(h.masked()) }

// parseHeaders checks a list of headers. Errors never repeat a value.
func parseHeaders(lines []string) (HeaderList, error) {
	list := HeaderList{}
	for i, line := range lines {
		name, value, ok := cutHeader(line)
		if !ok {
			return nil, fmt.Errorf("header %d is not written as \"Name: value\"", i+1)
		}
		if value == secretMask {
			return nil, errMask
		}
		if err := elastic.CheckHeader(name, value); err != nil {
			return nil, fmt.Errorf("header %d: %w", i+1, err)
		}
		list = append(list, line)
	}
	return list, nil
}

// errMask is said of a printed configuration that is loaded again.
var errMask = errors.New("this is the mask that check --print writes, not the secret")

var (
	typeBytes    = reflect.TypeFor[Bytes]()
	typeDuration = reflect.TypeFor[Duration]()
	typeShare    = reflect.TypeFor[Share]()
	typeFileMode = reflect.TypeFor[FileMode]()
	typeSecret   = reflect.TypeFor[Secret]()
	typeHeaders  = reflect.TypeFor[HeaderList]()
	typeList     = reflect.TypeFor[[]string]()
	typeString   = reflect.TypeFor[string]()
	typeBool     = reflect.TypeFor[bool]()
	typeInt      = reflect.TypeFor[int]()
)

// parseValue reads the written form of a value of type t. Errors say what would be right, and never
// repeat a secret.
func parseValue(t reflect.Type, raw string) (any, error) {
	switch t {
	case typeBytes:
		return ParseBytes(raw)
	case typeDuration:
		return ParseDuration(raw)
	case typeShare:
		return parseShare(raw)
	case typeFileMode:
		return parseFileMode(raw)
	case typeSecret:
		if raw == secretMask {
			return nil, errMask
		}
		return Secret(raw), nil
	case typeHeaders:
		return parseHeaders(splitList(raw))
	case typeList:
		return splitList(raw), nil
	case typeBool:
		switch raw {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", raw)
	case typeInt:
		n, err := strconv.Atoi(strings.TrimSpace(raw))
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", raw)
		}
		return n, nil
	case typeString:
		return raw, nil
	}
	panic(fmt.Sprintf("config: no parser for %s", t))
}

// splitList cuts a list as it stands in an environment variable or a flag.
func splitList(raw string) []string {
	list := []string{}
	for part := range strings.SplitSeq(raw, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
