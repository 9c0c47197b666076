package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// runner runs components and ends them in a chosen order.
type runner struct {
	logger *slog.Logger
	died   chan error

	mu   sync.Mutex
	errs []error
}

type component struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

func newRunner(logger *slog.Logger) *runner {
	return &runner{logger: logger, died: make(chan error, 16)}
}

// start runs a component until it is stopped. One that ends by itself with an error ends the service.
func (r *runner) start(name string, run func(context.Context) error) *component {
	ctx, cancel := context.WithCancel(context.Background())
	c := &component{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		err := run(ctx)
		if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return
		}
		err = fmt.Errorf("%s: %w", name, err)
		if ctx.Err() == nil {
			r.died <- err
			return
		}
		r.mu.Lock()
		r.errs = append(r.errs, err)
		r.mu.Unlock()
	}()
	return c
}

// wait returns when ctx ends (nil) or a component has failed.
func (r *runner) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.died:
		r.logger.Error("a component failed; stopping", "error", err)
		return err
	}
}

func (r *runner) errors() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

// stop ends the component's context and waits for it. The deadline is for components that finish work in
// hand by themselves within the same time; waiting longer than a second past it means that one hangs.
func (c *component) stop(deadline time.Time) {
	c.cancel()
	c.await(deadline.Add(time.Second))
}

// drain waits for the component to finish by itself, and ends it at the deadline.
func (c *component) drain(deadline time.Time) {
	if !c.await(deadline) {
		c.stop(deadline.Add(time.Second))
	}
}

func (c *component) await(deadline time.Time) bool {
	timer := time.NewTimer(max(time.Until(deadline), 0))
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}
