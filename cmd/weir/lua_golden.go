package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
)

// defaultCapture is how many events a filter of letters adds to the golden events when no limit is given.
const defaultCapture = 100

// goldenFlags say which golden events are captured or renewed.
type goldenFlags struct {
	letters []string // parts of a filter, keys, or all
	records int      // of the log
	limit   int
	update  bool
	dryRun  bool

	keys   []flush.Key
	filter letterFilter
}

func (g *goldenFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&g.letters, "from-dlq", nil, "capture the events of the dead letters that `FILTER` chooses")
	flags.IntVar(&g.records, "from-wal", 0, "capture the last `N` events of the log")
	flags.IntVar(&g.limit, "limit", defaultCapture, "add at most `N` events; with --from-wal all of its N when not given")
	flags.BoolVar(&g.update, "update", false, "renew what the golden events want")
	flags.BoolVar(&g.dryRun, "dry-run", false, "show what would be written, write nothing")
}

// wanted reports whether the call is about golden events, and runs no tests.
func (g *goldenFlags) wanted() bool { return g.captures() || g.update }

func (g *goldenFlags) captures() bool { return len(g.letters) > 0 || g.records != 0 }

// check makes wrong use of wrong values, and reads the filter.
func (g *goldenFlags) check(a *app, cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case changed("from-dlq") && changed("from-wal"):
		return usageErrorf("--from-dlq and --from-wal do not go together; call weir lua test twice")
	case changed("from-dlq") && len(g.letters) == 0:
		return usageErrorf("--from-dlq is empty; name letters by a filter, a key or all")
	case changed("from-wal") && (g.records < 1 || g.records > lua.MaxGoldenEvents):
		return usageErrorf("--from-wal must be from 1 to %d", lua.MaxGoldenEvents)
	case changed("limit") && !g.captures():
		return usageErrorf("--limit needs --from-dlq or --from-wal")
	case g.limit < 1:
		return usageErrorf("--limit must be 1 or more")
	case g.dryRun && !g.wanted():
		return usageErrorf("--dry-run needs --from-dlq, --from-wal or --update; tests write nothing")
	case g.records > 0 && !changed("limit"):
		g.limit = g.records
	}
	return g.readFilter(a)
}

// readFilter reads the parts of --from-dlq.
func (g *goldenFlags) readFilter(a *app) error {
	values, all := url.Values{}, false
	for _, part := range g.letters {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case part == "all":
			all = true
		case !ok:
			key, err := flush.ParseKey(part)
			if err != nil {
				return usageErrorf("--from-dlq %q is no NAME=VALUE, no key (weir dlq ls shows them) and not all", part)
			}
			g.keys = append(g.keys, key)
		case !slices.Contains(filterParameters, name):
			return usageErrorf("--from-dlq does not know %q; it knows %s", name, strings.Join(filterParameters, ", "))
		case values.Has(name):
			return usageErrorf("--from-dlq has %s twice", name)
		default:
			values.Set(name, value)
		}
	}
	q := &query{values: values, now: a.now()}
	g.filter = q.filter()
	if q.err != nil {
		return usageErrorf("--from-dlq: %s", q.err)
	}
	if all && len(g.keys)+len(values) > 0 || len(g.keys) > 0 && len(values) > 0 {
		return usageErrorf("--from-dlq takes a filter, keys or all, one of the three")
	}
	if err := g.filter.check(a); err != nil {
		return fmt.Errorf("--from-dlq: %w", err)
	}
	return nil
}

// capture takes events into the file of golden events, or renews what stands there.
func (t *luaTests) capture(ctx context.Context, cfg *Config, opts lua.Options, path string) error {
	script, err := lua.Load(path, opts)
	if err != nil {
		return err
	}
	c := &goldenCapture{a: t.a, script: script, path: lua.GoldenPath(path), flags: &t.golden, output: t.output}
	if err := c.open(); err != nil {
		return err
	}
	switch {
	case t.golden.records > 0:
		err = c.fromLog(ctx, cfg, t.streams(cfg, path))
	case len(t.golden.letters) > 0:
		err = c.fromLetters(ctx, cfg, t.streams(cfg, path))
	default:
		err = c.renewAll(ctx)
	}
	if err != nil {
		return err
	}
	return c.close()
}

// streams says of which streams events are captured; nil for all. Without --stream they are those that the
// script is configured for, if there are any: it may know nothing of the events of others.
func (t *luaTests) streams(cfg *Config, path string) map[string]bool {
	g := &t.golden
	if t.stream != "" {
		return map[string]bool{t.stream: true}
	}
	if len(g.keys) > 0 || g.filter.Stream != "" {
		return nil // somebody has said which
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	streams := map[string]bool{}
	for _, name := range cfg.StreamNames() {
		if other, err := os.Stat(cfg.Streams[name].Transform.Script); err == nil && os.SameFile(info, other) {
			streams[name] = true
		}
	}
	if len(streams) == 0 {
		fmt.Fprintln(t.a.stderr, "no stream has this script as its transform: events of all streams are taken; --stream chooses one")
		return nil
	}
	return streams
}

// open reads the golden events that are there.
func (c *goldenCapture) open() error {
	c.byOrigin, c.byContent, c.views = map[string]int{}, map[string]int{}, []captureView{}
	events, err := lua.ReadGolden(c.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := range events {
		c.add(events[i])
	}
	return nil
}

// close writes the file, where anything has changed, and says what was done.
func (c *goldenCapture) close() error {
	name := printable(c.path)
	if c.output != outputTable {
		if err := writeList(c.a.stdout, c.output, c.views); err != nil {
			return err
		}
	}
	if c.changed() && !c.flags.dryRun {
		text, err := lua.EncodeGolden(c.events)
		if err == nil {
			err = replaceFile(c.path, text, 0o600) // events are nobody else's business
		}
		if err != nil {
			return fmt.Errorf("write golden events: %w", err)
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{c.added, "added"}, {c.renewed, "renewed"}, {c.same, "there already"}, {c.left, "left out"}} {
		if p.n > 0 {
			parts = append(parts, humanCount(p.n)+" "+p.what)
		}
	}
	line := fmt.Sprintf("%s: %s", name, orElse(strings.Join(parts, ", "), "no events were found"))
	if c.failures > 0 {
		line += fmt.Sprintf("; %s of them: the tests will want the script to fail on it", humanCount(c.failures))
	}
	if c.full {
		line += fmt.Sprintf("; --limit %d is reached", c.flags.limit)
	}
	if c.flags.dryRun {
		line += "; nothing was written (--dry-run)"
	}
	fmt.Fprintln(c.a.stderr, line)
	return nil
}
