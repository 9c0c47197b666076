//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// recoverer starts weir in the test's own process on one data directory after the other: the code that serve runs, with a
// destination that holds what it held when the fault happened. Each worker has its own.
type recoverer struct {
	es  *elastictest.Server
	cfg *Config
	dir string // to be made and removed for each unit; its "data" is the data directory. In memory where there is such a file system
}

func newRecoverer(t testing.TB) *recoverer {
	r := &recoverer{es: elastictest.Start(t, elastictest.Options{Item: refuseRefused}), dir: filepath.Join(memoryDir(t), "unit")}
	cfg, err := LoadConfig(configSources{Environ: serviceEnviron(filepath.Join(r.dir, "data"), tortureEnviron(r.es.URL(), tortureScriptFile(t))...)})
	if err != nil {
		t.Fatal(err)
	}
	r.cfg = cfg
	return r
}

// tortureEnviron is the configuration of every weir that is tortured.
func tortureEnviron(destination, script string) []string {
	return []string{
		"WEIR_ELASTICSEARCH_ADDRESSES=" + destination, "WEIR_TRANSFORM_SCRIPT=" + script, "WEIR_ELASTICSEARCH_TIMESTAMP=false",
		"WEIR_FLUSH_LINGER=1ms", "WEIR_FLUSH_BATCH_EVENTS=20", "WEIR_FLUSH_RETRY_MIN=2ms", "WEIR_FLUSH_RETRY_MAX=20ms",
		"WEIR_WAL_SEGMENT_BYTES=16KiB", "WEIR_WAL_MIN_FREE_BYTES=0B",
	}
}

// refuseRefused makes the destination refuse the events that ask for it.
func refuseRefused(it elastictest.Item) elastictest.Answer {
	if bytes.Contains(it.Source, []byte(`"kind":"refused"`)) {
		return elastictest.Answer{Status: 400, Type: "document_parsing_exception", Reason: "failed to parse"}
	}
	return elastictest.Answer{}
}

// memoryDir returns a new directory in memory, or an ordinary one.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "weir-torture-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// recovery is what one start made of a data directory.
type recovery struct {
	aftermath
	log string // what it said from warnings on
}

// clear removes what the last unit left.
func (r *recoverer) clear() error { return os.RemoveAll(r.dir) }

// fail starts weir on the data directory while another process has its port: the next start has to find all that this one
// found.
func (r *recoverer) fail() error {
	cfg := *r.cfg
	cfg.Ingest.Listen = []string{strings.TrimPrefix(r.es.URL(), "http://")}
	_, err := openService(&cfg, slog.New(slog.DiscardHandler), new(slog.LevelVar), func() (*Config, error) { return &cfg, nil })
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("a start whose port is taken ends with %w", err)
	}
	return nil
}

// recover starts weir on the data directory, with stored in the destination, lets it deliver all that it can and stops it. An error
// means that somebody would have to do something.
func (r *recoverer) recover(stored []elastictest.Doc) (recovery, error) {
	r.es.Reset()
	r.es.Restore(stored)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	done := make(chan error, 1)
	var rec recovery
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		err := runOnce(r.cfg, logger)
		if err == nil {
			rec.letters, err = readLetters(r.cfg)
		}
		done <- err
	}()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case err := <-done:
		rec.docs, rec.log = r.es.Docs(), log.String()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, rec.log)
		}
		return rec, err
	case <-timeout.C:
		return rec, errors.New("it hangs")
	}
}

// runOnce is a whole life of the service: it starts, delivers what it can, and stops in order.
func runOnce(cfg *Config, logger *slog.Logger) error {
	s, err := openService(cfg, logger, new(slog.LevelVar), func() (*Config, error) { return cfg, nil })
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // an orderly stop delivers first
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if lag := s.flusher.Status().Lag; lag != 0 {
		return fmt.Errorf("%d records were not settled", lag)
	}
	return nil
}

// readLetters opens a data directory as a command does and lists its live letters.
func readLetters(cfg *Config) (letters []tortureLetter, err error) {
	p, closeParts, err := openOffline(context.Background(), cfg, slog.New(slog.DiscardHandler), offlineNeeds{letters: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeParts()) }()
	for _, store := range []*deadletter.Store{p.letters, p.refused} {
		for l, err := range store.Letters(context.Background(), deadletter.Filter{}) {
			if err != nil {
				return nil, err
			}
			letter := tortureLetter{Key: l.Letter.Key.String(), Stage: l.Letter.Stage, Records: int(l.Letter.Records), Event: l.Letter.Event, Rotten: l.Err != nil}
			if store == p.letters && !strings.HasPrefix(l.Letter.Type, "dead_letter") {
				letter.Offset = l.Letter.Key.Offset
			}
			letters = append(letters, letter)
		}
	}
	return letters, nil
}
