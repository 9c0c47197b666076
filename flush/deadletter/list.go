package deadletter

import (
	"context"
	"encoding/binary"
	"iter"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Filter chooses letters. An empty field chooses all.
type Filter struct {
	Stage  flush.Stage
	Status int
	Type   string
	Reason string // part of the reason's first 256 bytes, in any case
	Field  string // that the reason names, as Group.Field
	Index  string
	Stream string
	Since  time.Time // put at or after
	Until  time.Time // put before
	Limit  int       // at most so many; 0: no bound
	Skip   int       // pass over so many first
}

func (f *Filter) match(e *Entry) bool {
	switch {
	case f.Stage != "" && e.Stage != f.Stage,
		f.Status != 0 && e.Status != f.Status,
		f.Type != "" && e.Type != f.Type,
		f.Index != "" && e.Index != f.Index,
		f.Stream != "" && e.Stream != f.Stream,
		!f.Since.IsZero() && e.FirstAt.Before(f.Since),
		!f.Until.IsZero() && !e.FirstAt.Before(f.Until):
		return false
	}
	if f.Field != "" && ParseReason(e.Type, e.Reason).Field != f.Field {
		return false
	}
	return f.Reason == "" || strings.Contains(strings.ToLower(e.Reason), strings.ToLower(f.Reason))
}

// A page is what one transaction reads: short, because an open one keeps the database from reusing pages.
const (
	pageScanned = 2000
	pageEntries = 256
	pageBytes   = 4 << 20 // of letters that are read whole
)

// walk goes through the letters of a filter, page by page.
type walk struct {
	filter  Filter
	after   wal.Offset // seq of the last letter looked at
	until   wal.Offset // seq of the last letter to look at
	skipped int
	given   int
	end     bool
	size    int // entries of a page; 0: pageEntries
}

func (s *Store) newWalk(f Filter) *walk {
	// Seq is a place in the log: letters put from now on lie above.
	return &walk{filter: f, until: s.snapshot().applied}
}

// page returns the next letters; none with end set, or none because none of the scanned ones matched.
func (w *walk) page(x *index) (entries []Entry, err error) {
	bytes, scanned, most := int64(0), 0, w.size
	if most == 0 {
		most = pageEntries
	}
	c := x.buckets[tableLive].Cursor()
	for k, v := c.Seek(appendOffset(nil, w.after+1)); ; k, v = c.Next() {
		if len(k) != 8 || wal.Offset(binary.BigEndian.Uint64(k)) > w.until || w.filter.Limit > 0 && w.given >= w.filter.Limit {
			w.end = true
			return entries, nil
		}
		if scanned++; scanned > pageScanned || len(entries) >= most || bytes >= pageBytes {
			return entries, nil
		}
		e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(k)), v)
		if err != nil {
			return nil, err
		}
		w.after = e.Seq
		if !w.filter.match(&e) {
			continue
		}
		if w.skipped < w.filter.Skip {
			w.skipped++
			continue
		}
		w.given++
		bytes += e.bytes
		entries = append(entries, e)
	}
}

// List yields the entries of the letters that were live when it was called, in the order in which they were put, without
// holding more than a page of them. After an error it ends. Letters settled meanwhile may be missing.
func (s *Store) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for w := s.newWalk(f); !w.end; {
			var entries []Entry
			err := ctx.Err()
			if err == nil {
				err = s.view(func(x *index) (err error) {
					entries, err = w.page(x)
					return err
				})
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Found is a letter of Letters: Err is ErrLetterDamaged when its bytes cannot be read; then Letter holds what the index knows.
type Found struct {
	Entry  Entry
	Letter Letter
	Err    error
}

// Letters is List with the letters whole. It holds a few megabytes of them at a time.
func (s *Store) Letters(ctx context.Context, f Filter) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		r := s.newLetterReader()
		defer r.close()
		for w := s.newWalk(f); !w.end; {
			found, err := s.page(ctx, w, r)
			if err != nil {
				yield(Found{}, err)
				return
			}
			for _, l := range found {
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

// page reads a page of letters with the log pinned.
func (s *Store) page(ctx context.Context, w *walk, r *letterReader) ([]Found, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.pin.RLock()
	defer s.pin.RUnlock()
	var entries []Entry
	err := s.view(func(x *index) (err error) {
		entries, err = w.page(x)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.readAll(entries)
}

// readAll reads the letters of entries. Only a letter's own damage is told with it; other errors end it.
func (r *letterReader) readAll(entries []Entry) ([]Found, error) {
	found := make([]Found, len(entries))
	for i := range entries {
		l, err := r.read(&entries[i])
		if err != nil && !isDamage(err) {
			return nil, err
		}
		if err != nil {
			l = Letter{Letter: entries[i].letter(), Seq: entries[i].Seq}
		}
		found[i] = Found{Entry: entries[i], Letter: l, Err: err}
	}
	return found, nil
}

// Count returns how many letters the filter chooses.
func (s *Store) Count(ctx context.Context, f Filter) (int, error) {
	if n, ok := s.countStages(f); ok {
		return n, nil
	}
	n := 0
	for _, err := range s.List(ctx, f) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// countStages counts what a filter chooses that asks for no more than a stage: the index keeps those counts.
func (s *Store) countStages(f Filter) (n int, ok bool) {
	if (f != Filter{Stage: f.Stage, Limit: f.Limit, Skip: f.Skip}) {
		return 0, false
	}
	st := s.snapshot()
	for stage, letters := range st.records() {
		if f.Stage == "" || f.Stage == stage {
			n += int(letters)
		}
	}
	if n = max(0, n-max(0, f.Skip)); f.Limit > 0 {
		n = min(n, f.Limit)
	}
	return n, true
}
