package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

func newSetupCmd(a *app) *cobra.Command {
	opts := elastic.SetupOptions{}
	var streams []string
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make the index templates, policies and data streams that logs need",
		Long: `Makes, for the index of every stream, what a new Elasticsearch or OpenSearch needs
to take logs for years: an index template, a policy that rolls over and deletes,
and the data stream itself.

In the template, texts are keywords and the message is searched by words; context
and extra are one field each, whatever they hold, so that a thousand different
keys are no thousand fields; what does not fit a field is stored and not
searched, instead of refusing the document.

An index with a date in its name gets a template for plain indices and a policy
that only deletes; so does one with elasticsearch.op: index, which data
streams do not take.

What is there already stays, unless weir made it and the configuration or the
flags have changed since. What somebody else made is replaced with --force only.
Running it again changes nothing. What a server does not have is skipped, and said.

The credentials need the cluster privileges monitor, manage_index_templates and
manage_ilm, and create_index on the indices: more than delivery does. Use a key of
its own, for example WEIR_ELASTICSEARCH_API_KEY_FILE=admin.key weir setup.

The exit code is 1 when something could not be made, 0 when it was skipped.`,
		Example: `  weir setup --dry-run
  weir setup --retention 30d
  weir setup --stream shop --rollover-size 20gb --rollover-age 7d --retention 90d --replicas 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSetup(&opts); err != nil {
				return err
			}
			cfg, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			run := &setupRun{app: a, cfg: cfg, opts: opts, output: output}
			return run.all(cmd.Context(), streams)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&streams, "stream", nil, "only the `STREAM`s named; may be repeated (default: all)")
	f.StringVar(&opts.RolloverSize, "rollover-size", "50gb", "`SIZE` of a shard at which a data stream begins its next index; 0 for none")
	f.StringVar(&opts.RolloverAge, "rollover-age", "30d", "`AGE` at which it does; 0 for none")
	f.StringVar(&opts.Retention, "retention", "0", "delete indices after this `TIME`, such as 30d; 0 keeps them for ever")
	f.IntVar(&opts.Replicas, "replicas", -1, "`NUMBER` of copies of each shard; -1 leaves it to the server")
	f.BoolVar(&opts.FailureStore, "failure-store", false, "turn the failure store of data streams on, where the server has one")
	f.BoolVar(&opts.Force, "force", false, "replace what somebody else made")
	f.BoolVar(&opts.DryRun, "dry-run", false, "print the requests, and change nothing")
	configFlag(cmd, "elasticsearch", "elasticsearch.addresses", "server of streams that name none of their own")
	output.addFlag(cmd)
	return cmd
}

var (
	setupSpan = regexp.MustCompile(`^[1-9][0-9]{0,5}[dhm]$`)
	setupSize = regexp.MustCompile(`^[1-9][0-9]{0,5}(mb|gb|tb)$`)
)

// checkSetup looks at the flags; 0 becomes none.
func checkSetup(opts *elastic.SetupOptions) error {
	for name, value := range map[string]*string{"rollover-age": &opts.RolloverAge, "retention": &opts.Retention} {
		if *value == "0" {
			*value = ""
		} else if !setupSpan.MatchString(*value) {
			return usageErrorf("--%s: %q is not a time; write a number and d, h or m, for example 30d, or 0", name, *value)
		}
	}
	if opts.RolloverSize == "0" {
		opts.RolloverSize = ""
	} else if !setupSize.MatchString(opts.RolloverSize) {
		return usageErrorf("--rollover-size: %q is not a size; write a number and mb, gb or tb, for example 50gb, or 0", opts.RolloverSize)
	}
	return nil
}

// setupRun is one run of the command.
type setupRun struct {
	app    *app
	cfg    *Config
	opts   elastic.SetupOptions
	output outputFormat
	rows   []setupRow
}

// setupRow is a step and the server that it is about.
type setupRow struct {
	Destination string `json:"destination"`
	elastic.SetupStep
	DryRun bool `json:"dry_run,omitempty"`
}

func (r *setupRun) all(ctx context.Context, only []string) error {
	for _, name := range only {
		if _, ok := r.cfg.Streams[name]; !ok {
			return usageErrorf("--stream: no stream %q is declared", name)
		}
	}
	failed := false
	for _, d := range r.cfg.Destinations() {
		streams := d.streams
		if len(only) > 0 {
			streams = slices.DeleteFunc(slices.Clone(streams), func(s string) bool { return !slices.Contains(only, s) })
		}
		if len(streams) == 0 {
			continue
		}
		if d.es.embedded() {
			r.rows = append(r.rows, setupRow{Destination: "embedded", SetupStep: elastic.SetupStep{Kind: "destination", Name: "embedded",
				Result: elastic.SetupSkipped, Why: "the embedded destination needs nothing; name a server with --elasticsearch or elasticsearch.addresses"}})
			continue
		}
		if err := r.destination(ctx, d, streams); err != nil {
			failed = true
			fmt.Fprintln(r.app.stderr, "weir: "+printableLines(requestCause(err).Error()))
		}
	}
	failed = failed || slices.ContainsFunc(r.rows, func(row setupRow) bool { return row.Result == elastic.SetupFailed })
	if err := r.print(); err != nil {
		return err
	}
	if failed {
		return errReported
	}
	return nil
}

// destination sets one server up for streams that go there.
func (r *setupRun) destination(ctx context.Context, d *destination, streams []string) (err error) {
	sink, err := newElasticSink(r.cfg, d, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	opts := r.opts
	for _, stream := range streams {
		opts.Targets = append(opts.Targets, r.cfg.setupTarget(stream))
	}
	info, steps, err := sink.Setup(ctx, opts)
	for _, step := range steps { // also those before an error
		r.rows = append(r.rows, setupRow{d.es.hosts(), step, r.opts.DryRun})
	}
	if err == nil && r.output == outputTable {
		fmt.Fprintf(r.app.stdout, "%s: %s\n", d.es.hosts(), printable(info.String()))
	}
	return err
}

// setupTarget returns what the stream's documents need.
func (c *Config) setupTarget(stream string) elastic.SetupTarget {
	es := c.delivery(stream)
	_, _, dated := flush.DatePattern(es.Index)
	return elastic.SetupTarget{Index: c.IndexPattern(stream), DataStream: !dated && flush.Op(es.Op) != flush.OpIndex}
}

func (r *setupRun) print() error {
	if r.output != outputTable {
		return writeList(r.app.stdout, r.output, r.rows)
	}
	w := r.app.stdout
	for _, row := range r.rows {
		result := string(row.Result)
		if row.DryRun && (row.Result == elastic.SetupCreated || row.Result == elastic.SetupUpdated) {
			result = "would be " + result
		}
		line := fmt.Sprintf("%-16s %-15s %s", result, row.Kind, row.Name)
		if row.Why != "" {
			line += ": " + row.Why
		}
		fmt.Fprintln(w, printable(line))
		if r.opts.DryRun && row.Method != "" {
			fmt.Fprint(w, requestText(row.SetupStep))
		}
	}
	return nil
}

// requestText shows a request as it would be made.
func requestText(step elastic.SetupStep) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s %s\n", step.Method, step.Path)
	if step.Body != nil {
		if json.Indent(&b, step.Body, "", "  ") != nil {
			b.Write(step.Body)
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n\n"
}
