package local

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
)

// part is one index in a directory of its own. The newest part is written to, the others are sealed:
// open for reading only and never changed.
type part struct {
	number uint64
	dir    string
	bytes  atomic.Int64
	ready  chan struct{} // closed when the index is open, or never will be

	// mu is held for reading while the index is in use, for writing to open, seal and close it.
	mu     sync.RWMutex
	index  index.Index // nil: not open yet, or gone
	gone   bool        // removed or set aside
	filter *idFilter   // sealed parts; nil until it is read or made
	names  *fieldNames // the part that is written to

	summary summaryBox
	failure *failure // of the index that is open for writing
}

// failure is what the goroutines of an index report, and what its writers found.
type failure struct {
	broken atomic.Bool   // a write failed: what the index shows may not be on disk
	fatal  chan struct{} // closed when a goroutine of the index panicked; it then never answers nor closes
	once   sync.Once     // closes fatal
}

func (f *failure) isFatal() bool {
	select {
	case <-f.fatal:
		return true
	default:
		return false
	}
}

func newPart(dir string, number uint64) *part {
	return &part{number: number, dir: dir, ready: make(chan struct{})}
}

// The library reports failures of its goroutines to functions that are registered by name for the whole
// process, with the path of the index; failures finds whom it concerns.
var failures sync.Map // path -> *failure

const asyncErrors = "weir_local"

func init() { scorch.RegistryAsyncErrorCallbacks[asyncErrors] = reportFailure }

func reportFailure(err error, path string) {
	v, ok := failures.Load(path)
	if !ok {
		return
	}
	f := v.(*failure)
	if errors.Is(err, scorch.ErrPersist) || errors.Is(err, scorch.ErrAsyncPanic) {
		f.broken.Store(true)
	}
	if errors.Is(err, scorch.ErrAsyncPanic) {
		f.once.Do(func() { close(f.fatal) })
	}
}

// openIndex opens the library's index in dir, which must hold as many segments as its newest snapshot
// names: the library opens an older snapshot without a word when it cannot open a file.
func openIndex(dir string, segments int, readOnly bool, queue *index.AnalysisQueue) (idx index.Index, err error) {
	err = guarded(func() error {
		idx, err = scorch.NewScorch(scorch.Name, map[string]any{
			"path":                   dir,
			"read_only":              readOnly,
			"bolt_timeout":           lockWait.String(),
			"asyncErrorCallbackName": asyncErrors,
			"numSnapshotsToKeep":     1,
			"scorchMergePlanOptions": mergeOptions,
		}, queue)
		if err != nil {
			return err
		}
		if err := idx.Open(); err != nil {
			return damageOr(err)
		}
		r, err := idx.Reader()
		if err != nil {
			return errors.Join(err, idx.Close())
		}
		defer r.Close()
		if n := len(r.(*scorch.IndexSnapshot).Segments()); n != segments {
			return errors.Join(fmt.Errorf("%d of %d segments opened", n, segments), idx.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return idx, nil
}

// mergeOptions keep merging in the background cheap: tiers of ten.
var mergeOptions = map[string]any{
	"MaxSegmentsPerTier":   10,
	"MaxSegmentSize":       5_000_000,
	"MaxSegmentFileSize":   int64(math.MaxInt64),
	"TierGrowth":           10.0,
	"SegmentsPerMergeTask": 10,
	"FloorSegmentSize":     2_000,
	"ReclaimDeletesWeight": 2.0,
}

// createPart makes an empty part that is there whole or not at all.
func createPart(dir string, queue *index.AnalysisQueue) error {
	fresh := dir + suffixNew
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear %s: %w", filepath.Base(fresh), err)
	}
	idx, err := openIndex(fresh, 0, false, queue)
	if err != nil {
		return err
	}
	if err := idx.Close(); err != nil {
		return fmt.Errorf("close new index: %w", err)
	}
	if err := syncDir(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("name new part: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// openForWriting verifies and opens the part. The caller holds mu or is alone.
func (p *part) openForWriting(queue *index.AnalysisQueue) error {
	live, err := checkPart(p.dir)
	if err != nil {
		return err
	}
	// A filter of an earlier sealing would miss what is written from now on.
	if err := os.Remove(filepath.Join(p.dir, filterFile)); err == nil {
		if err := syncDir(p.dir); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove id filter: %w", err)
	}
	p.failure = &failure{fatal: make(chan struct{})}
	failures.Store(p.dir, p.failure)
	idx, err := openIndex(p.dir, len(live), false, queue)
	if err != nil {
		failures.Delete(p.dir)
		return err
	}
	if err := guarded(func() error { return p.survey(idx) }); err != nil {
		failures.Delete(p.dir)
		return errors.Join(err, idx.Close())
	}
	p.index, p.filter = idx, nil
	return p.measure()
}

// survey reads names and summary from the index.
func (p *part) survey(idx index.Index) error {
	r, err := idx.Reader()
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer r.Close()
	fields, err := r.Fields()
	if err != nil {
		return fmt.Errorf("read field names: %w", err)
	}
	summary, err := summarise(r)
	if err != nil {
		return err
	}
	p.names = newFieldNames(fields)
	p.summary.set(summary)
	return nil
}

// openSealed verifies the part and opens it for reading. The caller holds mu or is alone.
func (p *part) openSealed(queue *index.AnalysisQueue) error {
	live, err := checkPart(p.dir)
	if err != nil {
		return err
	}
	if err := removeStray(p.dir, live); err != nil {
		return err
	}
	idx, err := openIndex(p.dir, len(live), true, queue)
	if err != nil {
		return err
	}
	if p.filter == nil {
		if err := p.makeFilter(idx); err != nil {
			return errors.Join(err, idx.Close())
		}
	}
	p.index, p.names = idx, nil
	p.summary.set(p.filter.summary)
	return p.measure()
}

// removeStray removes segment files that no snapshot names: merges that were under way.
func removeStray(dir string, live map[string]struct{}) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list part: %w", err)
	}
	for _, e := range entries {
		if _, ok := live[e.Name()]; ok || !strings.HasSuffix(e.Name(), ".zap") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove stray segment: %w", err)
		}
	}
	return nil
}

// makeFilter makes the id filter from the index and stores it.
func (p *part) makeFilter(idx index.Index) error {
	var filter *idFilter
	err := guarded(func() error {
		r, err := idx.Reader()
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		defer r.Close()
		summary, err := summarise(r)
		if err != nil {
			return err
		}
		filter = newIDFilter(summary)
		dict, err := r.FieldDict(fieldID)
		if err != nil {
			return fmt.Errorf("read ids: %w", err)
		}
		defer dict.Close()
		for e, err := dict.Next(); e != nil || err != nil; e, err = dict.Next() {
			if err != nil {
				return fmt.Errorf("read ids: %w", err)
			}
			filter.add(e.Term)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.filter = filter
	// A failure to store it only means that it is made again at the next start.
	_ = filter.write(p.dir)
	return nil
}

// closeLocked closes the index; calls in it have ended, because mu is held.
func (p *part) closeLocked() error {
	if p.index == nil {
		return nil
	}
	failures.Delete(p.dir)
	idx := p.index
	p.index = nil
	if err := guarded(idx.Close); err != nil {
		return fmt.Errorf("close part %d: %w", p.number, err)
	}
	return nil
}

func (p *part) measure() error {
	n, err := dirBytes(p.dir)
	if err != nil {
		return fmt.Errorf("measure part %d: %w", p.number, err)
	}
	p.bytes.Store(n)
	return nil
}

// write stores the documents; they are on disk when it returns nil. After an error the part is broken:
// what its index shows from memory may not be on disk, so it is opened again before it is used.
func (p *part) write(docs []*document) error {
	batch := index.NewBatch()
	for _, d := range docs {
		batch.Update(d)
	}
	done := make(chan error, 1)
	go func() { done <- guarded(func() error { return p.index.Batch(batch) }) }()
	var err error
	select {
	case err = <-done:
	case <-p.failure.fatal:
		// The goroutine that would have answered is gone; done may never be sent to.
		err = fmt.Errorf("%w: a goroutine of the index ended", ErrDamaged)
	}
	if err == nil {
		// The segment was synced before the snapshot that names it; its directory entry was not.
		err = syncDir(p.dir)
	}
	if err != nil {
		p.failure.broken.Store(true)
		return fmt.Errorf("store batch in part %d: %w", p.number, err)
	}
	p.summary.add(docs)
	return p.measure()
}
