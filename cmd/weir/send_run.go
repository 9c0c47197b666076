package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// one sends a source and notes in the report what became of it. It reports whether to go on with the
// next: what is wrong with one source does not hold up the others.
func (r *sendRun) one(ctx context.Context, source sendSource) (goOn bool) {
	result := &sourceReport{Source: source.name()}
	err := r.transferSource(ctx, source, result)
	result.Interrupted = errors.Is(err, errInterrupted) || err != nil && ctx.Err() != nil
	if err != nil {
		result.Error = err.Error()
	}
	r.report.add(result)
	_, service := errors.AsType[*serviceError](err)
	return !service && ctx.Err() == nil
}

func (r *sendRun) transferSource(ctx context.Context, source sendSource, result *sourceReport) error {
	c, err := source.open(ctx, r.app.stdin)
	if err != nil {
		return err
	}
	defer c.close()
	if r.opts.dryRun {
		return r.check(ctx, source, c, result)
	}
	state, paths, err := r.resume(source, c, result)
	if err != nil {
		return err
	}
	if state != nil && state.Done && result.Resumed {
		return r.finish(source, c, state, paths, result)
	}
	var from position
	if state != nil {
		from = state.Position
	}
	if err := c.seek(from); err != nil {
		return err
	}
	format := r.format
	if from.Bytes > 0 && state.Format != formatAuto {
		format = state.Format
	}
	split, err := newSplitter(c, format, int(r.body), from)
	if err != nil {
		return err
	}
	if state != nil {
		state.Format = split.format
	}
	t := &transfer{
		source: source.name(), client: r.client, concurrency: r.opts.concurrency, pace: r.pace,
		batches: r.batcher(source, split),
		settled: func(b *sendBatch) error { return r.settled(b, c, state, paths, result) },
	}
	r.progress.describe(source.name())
	if err := t.run(ctx); err != nil {
		return err
	}
	return r.finish(source, c, state, paths, result)
}

func (r *sendRun) batcher(source sendSource, split *splitter) *batcher {
	return &batcher{split: split, source: source.name(), maxBytes: int(r.batch), maxEvents: r.opts.batchEvents,
		alone: int(r.alone), bodyLimit: int64(r.body)}
}

// resume finds what an earlier run has sent of the source. The state is nil for what cannot be resumed.
func (r *sendRun) resume(source sendSource, c *content, result *sourceReport) (*sendState, []string, error) {
	if !c.regular {
		return nil, nil, nil
	}
	paths, err := statePaths(source.path, r.stateDir)
	if err != nil {
		return nil, nil, err
	}
	now, err := newState(source.path, c.file, r.opts.stream, r.format)
	if err != nil {
		return nil, nil, err
	}
	if r.opts.restart {
		return now, paths, removeState(paths)
	}
	old, err := loadState(paths)
	if err != nil || old == nil {
		return now, paths, err
	}
	now.file = old.file
	same, err := old.sameContent(now, c)
	switch {
	case err != nil:
		return nil, nil, err
	case !same:
		fmt.Fprintf(r.app.stderr, "weir: %s has changed since it was sent in part; beginning with its first event\n", printable(source.name()))
		return now, paths, nil
	case old.Stream != r.opts.stream:
		return nil, nil, fmt.Errorf("an earlier run sent part of it to the stream %s; finish that one first, or --restart", old.Stream)
	case (old.Format == formatLines) != (r.format == formatLines):
		return nil, nil, errors.New("an earlier run sent part of it with another --lines; finish that one first, or --restart")
	}
	if old.Done && now.Size > old.Size {
		old.Done = false // it has grown: the rest is new
	}
	now.Position, now.Format, now.Counts, now.Done = old.Position, old.Format, old.Counts, old.Done
	result.Resumed = true
	return now, paths, nil
}

// settled is told of each acknowledged batch, in order. The position is durable before the next one.
func (r *sendRun) settled(b *sendBatch, c *content, state *sendState, paths []string, result *sourceReport) error {
	result.take(b)
	raw := c.raw.n.Load()
	r.progress.add(raw - result.read)
	result.read = raw
	if state == nil {
		return nil
	}
	state.Position = b.after
	state.Counts.add(b.counts)
	return r.saveState(state, paths, result)
}

// saveState remembers the position. Where no place takes it, the first attempt says so and the run
// goes on: events matter more than the comfort of resuming.
func (r *sendRun) saveState(state *sendState, paths []string, result *sourceReport) error {
	if result.noState {
		return nil
	}
	err := state.save(paths)
	if err != nil && state.file == "" {
		result.noState = true
		fmt.Fprintf(r.app.stderr, "weir: %s cannot be resumed if this is interrupted: %s\n", printable(state.Path), printable(err.Error()))
		return nil
	}
	return err
}

// finish is reached when every event of the source has its answer.
func (r *sendRun) finish(source sendSource, c *content, state *sendState, paths []string, result *sourceReport) error {
	switch {
	case state == nil:
		return nil
	case !source.spool:
		return removeState(paths)
	case !state.Done:
		if err := state.unchanged(c); err != nil {
			return err
		}
		state.Done = true
		if err := r.saveState(state, paths, result); err != nil {
			return err
		}
	}
	if refused := state.Counts.Refused; refused > 0 {
		if result.Counts.Events == 0 {
			return fmt.Errorf("%d of its events were refused by an earlier run; mend them and use --restart, or remove the file", refused)
		}
		return nil // the refused events are in the report
	}
	if r.opts.keep {
		return nil
	}
	if err := removeSpooled(source.path, c.file, paths); err != nil {
		return err
	}
	result.Removed = true
	return nil
}

// check reads a source as sending it would, and judges each event.
func (r *sendRun) check(ctx context.Context, source sendSource, c *content, result *sourceReport) error {
	split, err := newSplitter(c, r.format, int(r.body), position{})
	if err != nil {
		return err
	}
	batches := r.batcher(source, split)
	b := &sendBatch{}
	for ctx.Err() == nil {
		more, err := batches.fill(b)
		for i := range b.ends {
			if code, message := checkEvent(b.event(i), int(r.alone)); code != "" {
				b.refuse(source.name(), b.lines[i], code, message)
			}
		}
		if more {
			result.take(b)
			result.Requests++
			r.progress.add(c.raw.n.Load() - result.read)
			result.read = c.raw.n.Load()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
