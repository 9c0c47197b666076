package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/weirlog/weir/flush"
)

// Store is the embedded destination. All methods are safe for concurrent use.
type Store struct {
	dir     string
	opts    Options
	log     *slog.Logger
	metrics *Metrics
	queue   *index.AnalysisQueue
	claims  claims
	writers chan struct{} // a token per batch in the making
	readers chan struct{} // a token per search

	resultBytes int // MaxResultBytes

	life   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool         // guarded by life

	// rotation is held for reading while a batch is written to the active part, for writing to put
	// another in its place.
	rotation sync.RWMutex

	mu    sync.RWMutex // guards parts and other; taken last
	parts []*part      // oldest first; the last one is written to
	other []leftover   // parts set aside, oldest first

	cancelLoad context.CancelFunc
	loaded     chan struct{} // closed when the loader has ended
}

var _ flush.Sink = (*Store)(nil)

// Open opens the store in dir and makes it when there is none. It returns when documents can be sent;
// older parts are verified in the background, and what needs them waits for them. Nobody else may have
// dir open: the caller holds the lock of the data directory.
//
// A part that is damaged is renamed to *.damaged, logged and counted, and the rest opens. Errors are
// about the directory itself, ErrFormat and ErrTooSmall.
func Open(dir string, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open store: %w: %d bytes, at least %d are needed", err, opts.MaxBytes, MinBytes)
	}
	s := &Store{
		dir: dir, opts: opts, log: opts.Logger, metrics: opts.Metrics,
		queue:   index.NewAnalysisQueue(1), // documents come analysed
		writers: make(chan struct{}, runtime.GOMAXPROCS(0)),
		readers: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
		loaded:  make(chan struct{}),

		resultBytes: MaxResultBytes,
	}
	if err := s.open(); err != nil {
		s.queue.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancelLoad = cancel
	go s.load(ctx, s.parts[:len(s.parts)-1]) // Close waits for loaded
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := checkFormat(s.dir); err != nil {
		return err
	}
	layout, err := readLayout(s.dir)
	if err != nil {
		return err
	}
	s.parts, s.other = layout.parts, layout.aside
	for _, p := range s.parts {
		if err := p.measure(); err != nil {
			return err
		}
		if filter, err := readIDFilter(p.dir); err == nil {
			p.filter = filter
			p.summary.set(filter.summary)
		}
	}
	return s.openActive()
}

// load opens the sealed parts, newest first.
func (s *Store) load(ctx context.Context, parts []*part) {
	defer close(s.loaded)
	for _, p := range slices.Backward(parts) {
		if ctx.Err() == nil {
			if err := s.loadPart(p); err != nil {
				s.log.Warn("part of the embedded destination did not open; tried again when it is needed",
					"part", p.number, "error", err)
			}
		}
		close(p.ready)
	}
}

// loadPart opens a sealed part that is not open. One that is damaged is set aside, which is no error.
func (s *Store) loadPart(p *part) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.index != nil {
		return nil
	}
	err := p.openSealed(s.queue)
	if errors.Is(err, ErrDamaged) {
		s.setAside(p, err)
		return nil
	}
	return err
}

// use runs f on the index of the part, which it opens or waits for as needed; f is not run when the
// part is gone. The library reads mapped files without checks, so a panic becomes an error.
func (s *Store) use(ctx context.Context, p *part, f func(index.Index) error) error {
	select {
	case <-p.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.RLock()
	if p.index == nil && !p.gone {
		p.mu.RUnlock()
		if err := s.loadPart(p); err != nil {
			return err
		}
		p.mu.RLock()
	}
	err := error(nil)
	if p.index != nil {
		err = guarded(func() error { return f(p.index) })
	}
	p.mu.RUnlock()
	return s.blame(p, err)
}

// blame looks at the files of a part whose index failed in a way that damage would explain. A sealed part
// that is damaged is set aside, and the error is settled by that; one that is written to is opened again,
// and verified, by the next call of Send. When its files are whole the query or the library is at fault, and
// the part stays.
func (s *Store) blame(p *part, err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	if p.filter == nil {
		p.failure.broken.Store(true)
		return err
	}
	if _, damage := checkPart(p.dir); errors.Is(damage, ErrDamaged) {
		s.setAside(p, damage)
		return nil
	}
	return err
}

// Name says where documents go.
func (s *Store) Name() string { return "embedded" }

// enter marks the beginning of a call; the caller calls leave unless there was an error.
func (s *Store) enter() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// Close waits for running calls, then closes all parts. Later calls return ErrClosed. What was
// delivered is on disk already, so Close has nothing to save.
func (s *Store) Close() error {
	s.cancelLoad()
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	<-s.loaded
	var errs []error
	for _, p := range s.parts {
		p.mu.Lock()
		errs = append(errs, p.closeLocked())
		p.mu.Unlock()
	}
	s.queue.Close()
	return errors.Join(errs...)
}

// Stats says how much is stored.
type Stats struct {
	Documents uint64    `json:"documents"` // in parts that could be read; those still being opened may miss
	Bytes     int64     `json:"bytes"`     // on disk, damaged parts included
	MaxBytes  int64     `json:"max_bytes"`
	Parts     int       `json:"parts"`
	Damaged   int       `json:"damaged"`         // parts set aside and still on disk
	Oldest    time.Time `json:"oldest,omitzero"` // receive time of the oldest document, to the millisecond
	Newest    time.Time `json:"newest,omitzero"`
}

// Stats returns current figures. It does not wait for parts that are being opened.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Stats{MaxBytes: s.opts.MaxBytes, Parts: len(s.parts), Damaged: len(s.other)}
	var oldest, newest uint64
	for _, p := range s.parts {
		sum := p.summary.get()
		st.Bytes += p.bytes.Load()
		if sum.Documents == 0 {
			continue
		}
		if st.Documents == 0 {
			oldest = sum.Oldest
		}
		oldest, newest = min(oldest, sum.Oldest), max(newest, sum.Newest)
		st.Documents += sum.Documents
	}
	for _, l := range s.other {
		st.Bytes += l.bytes
	}
	if st.Documents > 0 {
		st.Oldest, st.Newest = timeOfOrder(oldest), timeOfOrder(newest)
	}
	return st
}

func timeOfOrder(order uint64) time.Time { return time.UnixMilli(int64(order >> 22)).UTC() }
