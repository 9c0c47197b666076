package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/weirlog/weir/bench/marks"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// counter is an Elasticsearch that knows which events arrived. It runs until ctx ends or the parent kills it.
func (c *child) counter(ctx context.Context) error {
	control, err := c.listen()
	if err != nil {
		return err
	}
	bulk, err := net.Listen("tcp", c.bulk)
	if err != nil {
		return errors.Join(fmt.Errorf("--sink: listen: %w; name an address that nobody uses", err), control.Close())
	}
	var arrivals marks.Arrivals
	sink := elastictest.NewServer(elastictest.Options{Keep: elastictest.KeepNothing, Item: func(it elastictest.Item) elastictest.Answer {
		if again := arrivals.Document(it.Source, it.ID); again && it.Op == "create" {
			return elastictest.Answer{Status: http.StatusConflict, Type: "version_conflict_engine_exception", Reason: "document already exists"}
		}
		return elastictest.Answer{}
	}})
	web := &http.Server{Handler: controlOf(&arrivals), ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() {
		sink.Close()
		_ = web.Close() // the process ends
	})
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(control) }()
	if err := sink.Serve(bulk); err != nil {
		return err
	}
	_ = web.Close() // as above
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// controlOf is what the parent talks to.
func controlOf(arrivals *marks.Arrivals) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /begin/{run}", func(w http.ResponseWriter, r *http.Request) {
		run, err := strconv.ParseUint(r.PathValue("run"), 10, 32)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		arrivals.Begin(marks.Run(run))
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(arrivals.Counts()) // the parent notices what is broken off
	})
	mux.HandleFunc("GET /arrived", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(arrivals.Arrived().Bytes()) // as above
	})
	return mux
}

// counterClient is the parent's side of a counter.
type counterClient struct {
	url string
}

func (c *counterClient) begin(ctx context.Context, run marks.Run) error {
	return post(ctx, fmt.Sprintf("%s/begin/%d", c.url, run), "")
}

func (c *counterClient) counts(ctx context.Context) (counts marks.Counts, err error) {
	err = get(ctx, c.url+"/counts", func(r io.Reader) error { return json.NewDecoder(r).Decode(&counts) })
	return counts, err
}

func (c *counterClient) arrived(ctx context.Context) (marks.Bits, error) {
	var b bytes.Buffer
	err := get(ctx, c.url+"/arrived", func(r io.Reader) error { _, err := b.ReadFrom(r); return err })
	return marks.ReadBits(b.Bytes()), err
}

// await waits until everything that ledger has as acknowledged is at the sink and nothing has come for the time settle, or
// nothing new has come for the time patience.
func (c *counterClient) await(ctx context.Context, ledger *marks.Ledger, patience, settle time.Duration) (v marks.Verdict, counts marks.Counts, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	acked := ledger.Acked()
	var before marks.Counts
	moved := time.Now()
	for {
		if counts, err = c.counts(ctx); err != nil {
			return v, counts, fmt.Errorf("ask the sink: %w", err)
		}
		now := time.Now()
		if counts.Events != before.Events || counts.Doubled != before.Doubled {
			before, moved = counts, now
		}
		out := now.Sub(moved) >= patience
		if out || counts.Events >= acked && now.Sub(counts.Touched) >= settle {
			arrived, err := c.arrived(ctx)
			if err != nil {
				return v, counts, fmt.Errorf("ask the sink: %w", err)
			}
			if v = ledger.Compare(arrived); out || v.Lost == 0 {
				return v, counts, nil
			}
		}
		select {
		case <-ctx.Done():
			return v, counts, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
