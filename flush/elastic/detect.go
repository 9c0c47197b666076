package elastic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weirlog/weir/flush"
)

// detection finds out once who the destination is. A key that may only write is not told, and delivers all the same: it is
// asked again from time to time, never for every request.
type detection struct {
	log  *slog.Logger
	now  func() time.Time
	turn chan struct{} // holds a token while somebody asks

	mu    sync.Mutex
	info  Info
	known bool
	// doubted: what is known cannot be delivered to; it is asked again with the next request.
	doubted bool
	again   time.Time     // not asked before; zero while it never was
	pause   time.Duration // before the next time
	// noZstd: the server took a body of zstd for garbage.
	noZstd   bool
	saidGzip bool
}

const (
	detectTimeout    = 10 * time.Second
	firstDetectPause = time.Minute
	maxDetectPause   = time.Hour
)

func newDetection(log *slog.Logger, now func() time.Time) *detection {
	return &detection{log: log, now: now, turn: make(chan struct{}, 1)}
}

// get returns what is known, and whether it is time to ask.
func (d *detection) get() (info Info, known, due bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info, d.known, d.doubted || !d.known && !d.now().Before(d.again)
}

// doubt makes the next request ask again.
func (d *detection) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubted = true
}

// found notes who answered, and says so once.
func (d *detection) found(info Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.known || d.info != info {
		d.log.Info("destination is "+info.String(), "product", info.Product, "version", info.Version)
	}
	d.doubted = false
	d.info, d.known, d.noZstd = info, true, d.noZstd && d.info == info
}

// withheld notes that nobody said who it is.
func (d *detection) withheld(e *flush.RequestError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pause == 0 {
		d.log.Info("the destination does not say what it is; delivery goes on without", "error", e)
	}
	d.doubted = false
	d.pause = min(max(2*d.pause, firstDetectPause), maxDetectPause)
	d.again = d.now().Add(d.pause)
}

// compression returns what to use in place of what was asked for.
func (d *detection) compression(asked Compression) Compression {
	if asked != CompressionZstd {
		return asked
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known && !d.noZstd && d.info.readsZstd() {
		return CompressionZstd
	}
	if !d.saidGzip {
		d.saidGzip = true
		d.log.Warn("requests travel as gzip: this destination is not known to read zstd, OpenSearch from 2.19 is")
	}
	return CompressionGzip
}

// refuseZstd ends zstd, after a request that may have failed for it.
func (d *detection) refuseZstd() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noZstd = true
}

// readsZstd: Elasticsearch ignores the header and takes the body for broken JSON, which would make a dead letter of every
// document. Earlier versions of OpenSearch have not been tried.
func (i Info) readsZstd() bool { return i.AtLeast(ProductOpenSearch, 2, 19) }

// misfit says which option the server cannot fulfil, "" when it can, or might.
func (s *Sink) misfit(info Info) string {
	if s.requireDataStream && info.Product != ProductCompatible && !info.AtLeast(ProductElasticsearch, 8, 13) {
		return fmt.Sprintf("%s %s does not know require_data_stream, Elasticsearch from 8.13 does: set elasticsearch.require_data_stream to false",
			info.Product, info.Version)
	}
	return ""
}

// Notes returns, in sentences, which options a server cannot fulfil and what happens instead. nil when all is well.
func (s *Sink) Notes(info Info) []string {
	var notes []string
	if s.compression == CompressionZstd && !info.readsZstd() {
		notes = append(notes, fmt.Sprintf("%s %s is not known to read zstd: requests will travel as gzip; elasticsearch.compression: gzip says the same", info.Product, info.Version))
	}
	if text := s.misfit(info); text != "" {
		notes = append(notes, text+"; until then nothing is delivered")
	}
	if info.Product == ProductElasticsearch && info.tooOld() == "" && !info.AtLeast(ProductElasticsearch, 7, 17) {
		notes = append(notes, fmt.Sprintf("%s %s is older than 7.17, the oldest that weir is meant for", info.Product, info.Version))
	}
	return notes
}

// Info returns what is known of the destination, and whether anything is. It does not ask.
func (s *Sink) Info() (Info, bool) {
	info, known, _ := s.detected.get()
	return info, known
}

// ready finds out who the destination is unless that is known, and refuses to deliver to one that cannot be delivered to.
func (s *Sink) ready(ctx context.Context) (Info, *flush.RequestError) {
	info, known, due := s.detected.get()
	if due {
		var e *flush.RequestError
		if info, known, e = s.detect(ctx); e != nil {
			return info, e
		}
	}
	if text := s.misfit(info); known && text != "" {
		s.detected.doubt() // it may be another version by the time of the next request, which the flusher sends late
		return info, productError(text)
	}
	return info, nil
}

// detect asks, one caller at a time; the others wait, because how to send depends on it. An error means that a bulk request
// would fare no better.
func (s *Sink) detect(ctx context.Context) (Info, bool, *flush.RequestError) {
	d := s.detected
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return Info{}, false, s.connectionError(ctx, ctx.Err())
	}
	if info, known, due := d.get(); !due {
		return info, known, nil // somebody else was quicker
	}
	askCtx, cancel := context.WithTimeout(ctx, min(s.timeout, detectTimeout))
	defer cancel()
	info, f := s.ask(ctx, askCtx)
	switch {
	case f == nil:
		d.found(info)
		return info, true, nil
	case f.unsent, f.Cause == causeCanceled, f.Cause == causeProduct:
		return Info{}, false, f.RequestError
	}
	d.withheld(f.RequestError)
	return Info{}, false, nil
}

func productError(text string) *flush.RequestError {
	return &flush.RequestError{Cause: causeProduct, Verdict: flush.ClassifyRequest(0, causeProduct, "", ""), Err: errors.New(text)}
}
