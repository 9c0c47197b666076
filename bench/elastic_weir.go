package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/weirlog/weir/bench/load"
)

// weirElastic is how weir delivers into a real server.
type weirElastic struct {
	binary string // "": the one to measure
	live   bool   // events are posted meanwhile; else they are in the log before
}

func (w weirElastic) target(name string) elasticTarget {
	return elasticTarget{name: name, prepare: w.prepare, binary: cmp.Or(w.binary, "weir"), live: w.live}
}

// prepare fills the log of a weir whose destination refuses connections, and ends it. The work then begins with the start
// of another on the same data, so that its start-up counts. Live, it is running already.
func (w weirElastic) prepare(ctx context.Context, e *elasticLab, dir, index string, c *elasticCase) (*elasticWork, error) {
	binary := cmp.Or(w.binary, e.weir)
	env := append([]string{"WEIR_ELASTICSEARCH_INDEX=" + index}, c.weirEnv()...)
	env = append(env, e.flags.weirEnv...)
	if !w.live {
		if err := e.fillLog(ctx, binary, dir, env); err != nil {
			return nil, fmt.Errorf("fill the log: %w", err)
		}
	}
	s := &server{}
	work := &elasticWork{close: func() {
		if s.process != nil {
			s.process.kill()
		}
	}}
	work.usage = func() (usage, error) {
		if s.process == nil {
			return usage{}, nil // it has not begun
		}
		return readUsage(s.process.cmd.Process.Pid)
	}
	work.stop = func() error { return s.process.stop(stopPatience) }
	launch := func(ctx context.Context) error {
		if err := s.launch(ctx, binary, dir, e.flags.url, env); err != nil {
			return err
		}
		work.admin = s.admin
		if work.ready != nil {
			work.ready()
		}
		return nil
	}
	if w.live {
		if err := launch(ctx); err != nil {
			work.close()
			return nil, err
		}
	}
	work.run = func(ctx context.Context) error {
		if w.live {
			result, err := e.post(ctx, s.address)
			if err != nil {
				return err
			}
			work.rate = result.Rate()
		} else if err := launch(ctx); err != nil {
			return err
		}
		return settled(ctx, s, e.flags.documents)
	}
	return work, nil
}

// fillLog posts all documents to a weir that cannot deliver, and stops it.
func (e *elasticLab) fillLog(ctx context.Context, binary, dir string, env []string) error {
	s := &server{}
	// Nothing can be settled, so there is nothing to wait for at the end.
	err := s.launch(ctx, binary, dir, awayAddress, append([]string{"WEIR_SHUTDOWN_TIMEOUT=1ms"}, env...))
	if s.process != nil {
		defer s.process.kill()
	}
	if err != nil {
		return err
	}
	if _, err := e.post(ctx, s.address); err != nil {
		return err
	}
	if err := s.process.stop(stopPatience); err != nil {
		return err
	}
	return nil
}

// post sends all documents to weir, once each.
func (e *elasticLab) post(ctx context.Context, address string) (*load.Result, error) {
	result, err := load.Run(ctx, load.Plan{Address: address, Connections: elasticConnections, Threads: 1, Requests: e.requests,
		Limit: e.flags.documents / (elasticConnections * elasticEvents)})
	switch {
	case err != nil:
		return nil, fmt.Errorf("load: %w", err)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case result.Failures > 0:
		return nil, fmt.Errorf("%d requests failed, the first: %s", result.Failures, result.Failure)
	case result.Acked != int64(e.flags.documents):
		return nil, fmt.Errorf("%d of %d events were acknowledged", result.Acked, e.flags.documents)
	}
	return result, nil
}

// weirEnv is how weir is told where ids come from.
func (c *elasticCase) weirEnv() []string {
	if c.ids {
		return nil // its default
	}
	return []string{"WEIR_ELASTICSEARCH_ID=none"}
}

// takes reports whether a binary knows the configuration that a case needs.
func (c *elasticCase) takes(ctx context.Context, binary, url, dir string) (bool, error) {
	env := append(c.weirEnv(), "WEIR_CONFIG=", "WEIR_DATA_DIR="+dir, "WEIR_ELASTICSEARCH_ADDRESSES="+url)
	cmd := exec.CommandContext(ctx, binary, "check")
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return false, fmt.Errorf("ask %s to check its configuration: %w", binary, err)
	}
	return err == nil || !strings.Contains(string(out), "WEIR_ELASTICSEARCH_ID"), nil
}

// settledMetric counts the documents that the server has confirmed.
const settledMetric = `weir_flush_settled_total{outcome="delivered"}`

// settled waits until weir has delivered n documents.
func settled(ctx context.Context, s *server, n int) error {
	return awaitMetric(ctx, s, settledMetric, n)
}

// awaitMetric waits until weir has settled n documents as the metric counts them. It asks seldom at first, because asking
// costs the time of the asked, and often towards the end.
func awaitMetric(ctx context.Context, s *server, counter string, n int) error {
	const seldom, often = time.Second, 10 * time.Millisecond
	begun, last, moved := time.Now(), 0, time.Now()
	timer := time.NewTimer(often)
	defer timer.Stop()
	for {
		value, err := metric(ctx, s.admin, counter)
		now, done := time.Now(), int(value)
		switch {
		case err != nil:
			return s.process.orEnded(err)
		case done == n:
			return nil
		case done > n:
			return fmt.Errorf("weir says that it settled %d of %d documents (%s)", done, n, counter)
		case done > last:
			last, moved = done, now
		case now.Sub(moved) > stallPatience:
			return fmt.Errorf("%d of %d documents were not settled (%s)\n%s", n-done, n, counter, s.process.tail())
		}
		pause := often
		if done > 0 {
			left := time.Duration(float64(now.Sub(begun)) * float64(n-done) / float64(done))
			pause = min(max(left/2, often), seldom)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}
