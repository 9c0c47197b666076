package main

import (
	"cmp"
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/weirlog/weir/bench/report"
)

var (
	//go:embed testdata/five_lines.lua
	fiveLines []byte
	//go:embed testdata/ten_lines.lua
	tenLines []byte
	//go:embed testdata/everything.lua
	heavyLines []byte
)

// weirSetup is how weir is configured; everything else is its default.
type weirSetup struct {
	binary string // "": the one to measure
	script []byte // that events pass; nil for none
	away   bool   // the destination refuses connections

	connections int // instead of the case's; 0: those
	// round makes rounds of its own with a weir of this setup; nil: the case's load is put on it.
	round func(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error)
}

// awayAddress refuses connections: nothing listens on port 1.
const awayAddress = "http://127.0.0.1:1"

// start starts weir and, unless it is away, a counting Elasticsearch.
func (w weirSetup) start(ctx context.Context, l *lab, dir string, c *benchCase) (_ *server, err error) {
	s := &server{path: "/ingest", delivers: !w.away}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	destination := awayAddress
	if !w.away {
		sink, address, err := startChild(ctx, l, dir, "sink", 0)
		if err != nil {
			return nil, err
		}
		s.others = append(s.others, sink)
		destination = "http://" + address
	}
	var env []string
	if w.script != nil {
		path := filepath.Join(dir, "script.lua")
		if err := os.WriteFile(path, w.script, 0o600); err != nil {
			return nil, fmt.Errorf("write script: %w", err)
		}
		env = append(env, "WEIR_TRANSFORM_SCRIPT="+path)
	}
	socket := filepath.Join(dir, "ingest.sock")
	if c.unix {
		env = append(env, "WEIR_INGEST_LISTEN=unix://"+socket)
	}
	if err := s.launch(ctx, cmp.Or(w.binary, l.weir), dir, destination, env); err != nil {
		return nil, err
	}
	if c.unix {
		s.address = unixAddress(socket)
	}
	if w.away { // it would not end before its shutdown_timeout
		s.arrived = func(ctx context.Context, acked int64) (time.Time, error) { return durable(ctx, s.admin, acked) }
		return s, nil
	}
	s.arrived = func(ctx context.Context, acked int64) (time.Time, error) { return delivered(ctx, destination, acked) }
	s.final = func(ctx context.Context, acked int64) error {
		if err := s.process.stop(stopPatience); err != nil {
			return err
		}
		_, err := delivered(ctx, destination, acked)
		return err
	}
	return s, nil
}

// launch starts weir on the data of dir, delivering to destination, and waits until it takes events. env goes beyond what
// every weir of the benchmark is told. On error the process may still run.
func (s *server) launch(ctx context.Context, binary, dir, destination string, env []string) error {
	if err := s.begin(ctx, binary, dir, destination, env); err != nil {
		return err
	}
	return s.process.await(ctx, startPatience, func() bool { return get(ctx, s.admin+"/readyz", nil) == nil })
}

// begin is launch without waiting.
func (s *server) begin(ctx context.Context, binary, dir, destination string, env []string) error {
	ingest, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	env = append([]string{
		"WEIR_DATA_DIR=" + filepath.Join(dir, "data"), "WEIR_INGEST_LISTEN=" + ingest, "WEIR_ADMIN_LISTEN=" + admin,
		"WEIR_ELASTICSEARCH_ADDRESSES=" + destination, "WEIR_LOG_LEVEL=warn", "WEIR_CONFIG=",
		// The last batch of a round is seldom full; with the default of 1s the round would end by waiting for it.
		"WEIR_FLUSH_LINGER=50ms",
	}, env...)
	if s.process, err = startProcess(ctx, "weir", dir, env, binary, "serve"); err != nil {
		return err
	}
	s.address, s.admin, s.env = ingest, "http://"+admin, env
	return nil
}

// delivered waits until the sink has everything and checks that it has nothing more.
func delivered(ctx context.Context, sink string, acked int64) (time.Time, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	last, moved := int64(0), time.Now()
	for {
		stats, err := arrivals(ctx, sink)
		now := time.Now()
		switch {
		case err != nil:
			return now, err
		case stats.Created >= acked || now.Sub(moved) > stallPatience:
			return now, compare(acked, stats.Created, stats.Failed+stats.Conflicts)
		case stats.Created > last:
			last, moved = stats.Created, now
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// sinkStats are the counts of a sink.
type sinkStats struct{ Created, Failed, Conflicts int64 }

// arrivals asks a sink for its counts.
func arrivals(ctx context.Context, sink string) (stats sinkStats, err error) {
	err = get(ctx, sink+"/_elastictest/stats", func(r io.Reader) error { return json.NewDecoder(r).Decode(&stats) })
	if err != nil {
		err = fmt.Errorf("ask the sink: %w", err)
	}
	return stats, err
}

// compare says what is missing or too much.
func compare(acked, created, failed int64) error {
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d acknowledged events: the sink refused %d", acked-created, acked, failed)
	case created < acked:
		return fmt.Errorf("%d of %d acknowledged events were not delivered", acked-created, acked)
	case created > acked:
		return fmt.Errorf("%d events were acknowledged and %d delivered", acked, created)
	}
	return nil
}

// durable checks that the log ends with the last acknowledged event.
func durable(ctx context.Context, admin string, acked int64) (time.Time, error) {
	offset, err := metric(ctx, admin, "weir_wal_durable_offset")
	now := time.Now()
	if err != nil {
		return now, err
	}
	if int64(offset) != acked {
		return now, fmt.Errorf("%d events were acknowledged and the log ends at offset %.0f", acked, offset)
	}
	return now, nil
}
