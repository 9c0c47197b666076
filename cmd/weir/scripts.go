package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// scriptKey tells transformers apart: streams that name the same file with the same limits share one.
type scriptKey struct {
	path      string
	timeout   Duration
	maxMemory Bytes
}

// scriptKey names the transformer of a stream; its path is empty where events pass as they are.
func (c *Config) scriptKey(stream string) scriptKey {
	t := c.Streams[stream].Transform
	return scriptKey{t.Script, t.Timeout, t.MaxMemory}
}

// scriptKeys lists the transformers that the streams need, in order.
func (c *Config) scriptKeys() []scriptKey {
	var keys []scriptKey
	for _, stream := range c.StreamNames() {
		if key := c.scriptKey(stream); key.path != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b scriptKey) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.timeout, b.timeout), cmp.Compare(a.maxMemory, b.maxMemory))
	})
	return keys
}

// scriptStreams lists the streams of a transformer.
func (c *Config) scriptStreams(key scriptKey) []string {
	return slices.DeleteFunc(c.StreamNames(), func(stream string) bool { return c.scriptKey(stream) != key })
}

// scriptName names a transformer to people and in metrics: its path, with limits where another one has the same.
func (c *Config) scriptName(key scriptKey) string {
	for _, other := range c.scriptKeys() {
		if other.path == key.path && other != key {
			return fmt.Sprintf("%s (%s, %s)", key.path, key.timeout, key.maxMemory)
		}
	}
	return key.path
}

// limits are what a script of this key may use for an event, for whoever runs it.
func (k scriptKey) limits() lua.Options {
	return lua.Options{Timeout: k.timeout.Std(), MaxMemory: int64(k.maxMemory)}
}

// openScripts compiles every script that a stream uses, once for each set of limits.
func (p *parts) openScripts() error {
	metrics := lua.NewMetrics(p.registry) // also without a script: the page of alerts names them
	for _, key := range p.cfg.scriptKeys() {
		streams := p.cfg.scriptStreams(key)
		opts := key.limits()
		opts.Script, opts.Name, opts.Logger, opts.Metrics = key.path, p.cfg.scriptName(key), p.logger, metrics
		p.trials(&opts, streams)
		t, err := lua.New(opts)
		if err != nil {
			return fmt.Errorf("stream %s: %w", streams[0], err)
		}
		p.scripts[key] = t
	}
	return nil
}

// trials says how a changed script comes into force and out of it. A command has no log to try it on, and ends soon.
func (p *parts) trials(opts *lua.Options, streams []string) {
	c := &p.cfg.Transform
	opts.RollbackErrorRate, opts.RollbackMinEvents, opts.RollbackWindow = float64(c.RollbackErrorRate), c.RollbackMinEvents, c.RollbackWindow.Std()
	opts.ShadowEvents = c.ShadowEvents
	opts.Recent = func(ctx context.Context, n int, visit func(*wal.Record) error) error {
		return p.recent.visit(ctx, n, streams, visit)
	}
	routes := map[string]flush.Route{}
	for _, stream := range streams {
		route := p.route(stream)
		route.VersionField = "" // it differs in every document, and is no news
		routes[stream] = route
	}
	opts.Prepare = func(rec *wal.Record, docs []flush.Document) error {
		route := routes[rec.Stream]
		return route.Prepare(nil, rec, docs)
	}
}

// transformer returns the transform of a stream; nil when its events pass as they are.
func (p *parts) transformer(stream string) flush.Transformer {
	if t, ok := p.scripts[p.cfg.scriptKey(stream)]; ok {
		return t
	}
	return nil
}

// replayTransformer is transformer for letters, whose outcome must not be held against a script.
func (p *parts) replayTransformer(stream string) flush.Transformer {
	if t, ok := p.scripts[p.cfg.scriptKey(stream)]; ok {
		return t.Apart()
	}
	return nil
}
