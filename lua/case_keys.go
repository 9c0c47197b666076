package lua

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/wal"
)

// caseKeys are the keys of a case, and how each is read.
var caseKeys = map[string]func(*worker, *tableCase, glua.LValue) error{
	"name": func(w *worker, c *tableCase, v glua.LValue) (err error) { c.name, err = w.caseText(v); return err },
	"event": func(w *worker, c *tableCase, v glua.LValue) (err error) {
		c.event.record.Payload, err = w.caseObject(v)
		return err
	},
	"meta":    (*worker).caseMeta,
	"want":    (*worker).caseWant,
	"exact":   func(_ *worker, c *tableCase, v glua.LValue) error { c.want.exact = true; return onlyTrue(v) },
	"dropped": func(_ *worker, c *tableCase, v glua.LValue) error { c.want.dropped = true; return onlyTrue(v) },
	"error": func(w *worker, c *tableCase, v glua.LValue) (err error) {
		c.want.failure, err = w.caseText(v)
		return err
	},
	"index":    caseSetting("index"),
	"id":       caseSetting("id"),
	"pipeline": caseSetting("pipeline"),
	"routing":  caseSetting("routing"),
}

// caseMetaKeys are the keys of a case's meta.
var caseMetaKeys = map[string]func(*worker, *wal.Record, glua.LValue) error{
	"stream": func(w *worker, rec *wal.Record, v glua.LValue) (err error) {
		rec.Stream, err = w.caseText(v)
		return err
	},
	"received_at": func(w *worker, rec *wal.Record, v glua.LValue) error {
		text, err := w.caseText(v)
		if err == nil {
			if rec.ReceivedAt, err = time.Parse(time.RFC3339Nano, text); err != nil {
				err = fmt.Errorf("%q is no time: write it like 2026-01-02T03:04:05Z", text)
			}
		}
		return err
	},
	"remote": func(w *worker, rec *wal.Record, v glua.LValue) error {
		text, err := w.caseText(v)
		if err == nil {
			if rec.Remote, err = netip.ParseAddr(text); err != nil {
				err = fmt.Errorf("%q is no IP address", text)
			}
		}
		return err
	},
	"offset": func(_ *worker, rec *wal.Record, v glua.LValue) error {
		n, ok := v.(glua.LNumber)
		rec.Offset = wal.Offset(max(n, 0))
		if !ok || n < 1 || n > maxExact || glua.LNumber(rec.Offset) != n {
			return errors.New("must be a whole number from 1")
		}
		return nil
	},
}

// readCase reads one case. The case is not nil, also with an error, and has its name where it has one.
func (w *worker) readCase(v glua.LValue) (*tableCase, error) {
	c := &tableCase{event: newTestEvent()}
	table, ok := v.(*glua.LTable)
	if !ok {
		return c, fmt.Errorf("a case must be a table, not a %s", kindOf(v, w))
	}
	if name, ok := table.RawGetString("name").(glua.LString); ok {
		c.name = string(name) // first, so that a fault of another key names the case
	}
	err := readKeys("a case", table, caseKeys, func(read func(*worker, *tableCase, glua.LValue) error, v glua.LValue) error {
		return read(w, c, v)
	})
	switch {
	case err != nil:
		return c, err
	case c.event.record.Payload == nil:
		return c, errors.New("the case has no event")
	}
	return c, c.want.fault()
}

// readKeys reads a table of known keys. One that is not known is an error: a misspelt wish would hold always.
func readKeys[F any](what string, table *glua.LTable, known map[string]F, read func(F, glua.LValue) error) error {
	for k, v := table.Next(glua.LNil); k != glua.LNil; k, v = table.Next(k) {
		name, _ := k.(glua.LString)
		key, ok := known[string(name)]
		if !ok {
			return fmt.Errorf("%s has no key %s; its keys are %s", what, short(k), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := read(key, v); err != nil {
			return fmt.Errorf("%s: %w", string(name), err)
		}
	}
	return nil
}

func (w *worker) caseText(v glua.LValue) (string, error) {
	s, ok := w.asText(v)
	if !ok || s == "" {
		return "", fmt.Errorf("must be a string that is not empty, not %s", describe(v, w))
	}
	return s, nil
}

func onlyTrue(v glua.LValue) error {
	if v != glua.LTrue {
		return errors.New("must be true, or be left out")
	}
	return nil
}

func (w *worker) caseMeta(c *tableCase, v glua.LValue) error {
	table, ok := v.(*glua.LTable)
	if !ok {
		return fmt.Errorf("must be a table, not a %s", kindOf(v, w))
	}
	return readKeys("meta", table, caseMetaKeys, func(read func(*worker, *wal.Record, glua.LValue) error, v glua.LValue) error {
		return read(w, &c.event.record, v)
	})
}

// caseObject reads a JSON object that is written as a table, or as text, which keeps its bytes.
func (w *worker) caseObject(v glua.LValue) ([]byte, error) {
	if text, ok := v.(glua.LString); ok {
		return []byte(text), objectFault([]byte(text))
	}
	table, ok := v.(*glua.LTable)
	if !ok {
		return nil, fmt.Errorf("must be a table or JSON text, not a %s", kindOf(v, w))
	}
	if table.Metatable == w.objectMT {
		return nil, errors.New("json.decode and json.object make tables that are gone when the tests run: write a table, or the JSON text itself")
	}
	w.pass++
	raw, err := w.encode(nil, table, 1)
	switch {
	case err == errOverrun:
		return nil, errors.New(w.budget.message)
	case err != nil:
		return nil, err
	case raw[0] != '{':
		return nil, errors.New("must be an object, not a list")
	}
	return raw, nil
}

// objectFault says why text is no event or document.
func objectFault(text []byte) error {
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return fmt.Errorf("the text is not JSON: %w", err)
	}
	switch {
	case !utf8.Valid(text):
		return errors.New("the text is not UTF-8")
	case rawjson.KindOf(rawjson.Trim(text)) != rawjson.Object:
		return errors.New("the text is JSON, but no object")
	case !shallow(text):
		return fmt.Errorf("the text is nested deeper than %d", maxDepth)
	}
	return nil
}
