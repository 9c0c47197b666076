package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"
)

// maxReported bounds how many refused events are named; all of them are counted.
const maxReported = 20

// sendOptions are the flags of weir send.
type sendOptions struct {
	server      string
	stream      string
	format      string
	lines       bool
	batchEvents int
	batchBytes  string
	maxEvent    string
	rate        float64
	concurrency int
	compress    bool
	dryRun      bool
	keep        bool
	restart     bool
	timeout     time.Duration
	giveUp      time.Duration
	output      outputFormat
}

func newSendCmd(a *app) *cobra.Command {
	o := &sendOptions{}
	cmd := &cobra.Command{
		Use:   "send [FILE|DIR|-]...",
		Short: "Post events from files, a spool directory or standard input",
		Long: `Posts events to a weir. A FILE holds one event a line (NDJSON), a JSON array, or
JSON objects over several lines; gzip and zstd are seen by themselves. "-" is
standard input. Of a DIR, all files *.ndjson, *.jsonl and *.json (also .gz and
.zst; with --lines *.log and *.txt too) are sent in the order of their names; names
that begin with a dot are left alone.

A file of a DIR is removed when every event in it has been acknowledged. A program
that fills such a spool directory writes each file under a name that begins with a
dot and renames it when it is complete. A file with a refused event stays.

With --lines, each line of plain text becomes {"message": ...}; a byte that is not
valid UTF-8 is written as \xNN. Empty lines are passed over.

Interrupted or failed, the same command goes on where it stopped: the place is kept
in a file .NAME.weir-send beside the source, or in $XDG_STATE_HOME/weir when that
directory cannot be written. A kill between an acknowledgement and the note of it
sends that batch again. Standard input cannot be resumed.

While the service refuses for now (503) or cannot be reached, the same events are
sent again with growing pauses, for --give-up-after. Events that it refuses for
good are listed at the end (the first 20 of them), and the exit code is 1.`,
		Example: `  weir send events.ndjson
  weir send --stream shop --rate 2000 /var/spool/weir
  journalctl -o json | weir send -
  weir send --lines --url http://logs.example.org:8080 /var/log/app.log
  weir send --dry-run export.json.gz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.send(cmd, o, args) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *sendOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.server, "url", "", "`URL` of the service, also unix:///path (default: the first address of ingest.listen)")
	f.StringVar(&o.stream, "stream", DefaultStream, "`NAME` of the stream to send to")
	f.StringVar(&o.format, "format", string(formatAuto), "`FORMAT` of the sources: auto, ndjson or json")
	f.BoolVar(&o.lines, "lines", false, "sources are plain text; each line becomes {\"message\": ...}")
	f.IntVar(&o.batchEvents, "batch-events", 5000, "most events in one request")
	f.StringVar(&o.batchBytes, "batch-bytes", "1MiB", "most bytes in one request (`SIZE`); a larger event travels alone")
	f.StringVar(&o.maxEvent, "max-event-bytes", "", "events over this `SIZE` travel alone (default: ingest.max_event_bytes)")
	f.Float64Var(&o.rate, "rate", 0, "most events a second; 0 for no bound")
	f.IntVar(&o.concurrency, "concurrency", 2, "requests under way at a time")
	f.BoolVar(&o.compress, "gzip", false, "compress requests")
	f.BoolVar(&o.dryRun, "dry-run", false, "count and check the events, send nothing")
	f.BoolVar(&o.keep, "keep", false, "keep the files of a directory; a later run with --keep does not send them again")
	f.BoolVar(&o.restart, "restart", false, "begin at the first event, whatever an earlier run has sent")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "longest time for one request")
	f.DurationVar(&o.giveUp, "give-up-after", 5*time.Minute, "how long to try again while the service refuses or is away; 0 for ever")
	o.output.addFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("lines", "format")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(
		[]string{"auto", "ndjson", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
}

// sendRun is one execution of the command.
type sendRun struct {
	app      *app
	opts     *sendOptions
	format   sourceFormat
	batch    Bytes
	alone    Bytes // events above travel alone
	body     Bytes // largest body that the service takes
	client   *ingestClient
	pace     func(context.Context, int) error
	stateDir string
	progress *progress
	report   sendReport
}

func (a *app) send(cmd *cobra.Command, o *sendOptions, args []string) error {
	r, err := a.newSendRun(cmd, o)
	if err != nil {
		return err
	}
	unlock, err := lockSpools(args)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.finishRemovals(args); err != nil {
		return err
	}
	sources, err := listSources(args, o.lines)
	if err != nil {
		return err
	}
	begin := a.now()
	r.progress = a.newProgress(totalSize(sources), true, "sending")
	for i, source := range sources {
		if goOn := r.one(cmd.Context(), source); !goOn {
			r.report.NotTried = len(sources) - i - 1
			break
		}
	}
	r.progress.finish()
	r.report.Seconds = a.now().Sub(begin).Seconds()
	r.report.DryRun = o.dryRun
	r.report.Interrupted = cmd.Context().Err() != nil
	return r.report.print(a, o.output)
}

func (a *app) newSendRun(cmd *cobra.Command, o *sendOptions) (*sendRun, error) {
	cfg, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	r := &sendRun{app: a, opts: o, format: sourceFormat(o.format), alone: cfg.Ingest.MaxEventBytes, body: cfg.Ingest.MaxBodyBytes}
	if err := r.checkFlags(); err != nil {
		return nil, err
	}
	r.batch = min(r.batch, r.body-2) // an array has two brackets more
	if o.rate > 0 {
		// Batches of at most a second's worth keep the pace even.
		o.batchEvents = min(o.batchEvents, max(1, int(o.rate)))
		r.pace = rate.NewLimiter(rate.Limit(o.rate), o.batchEvents).WaitN
	}
	server := o.server
	if server == "" {
		if server = cfg.Ingest.Listen[0]; !strings.HasPrefix(server, "unix://") {
			server = "http://" + dialAddress(server)
		}
	}
	target, socket, err := ingestURL(server, o.stream)
	if err != nil {
		return nil, usageErrorf("--url: %s", err)
	}
	shown := target
	if u, err := url.Parse(target); err == nil {
		shown = u.Redacted()
	}
	r.client = &ingestClient{
		http: newHTTPClient(socket, o.concurrency), url: target, shown: shown, compress: o.compress,
		timeout: o.timeout, giveUp: o.giveUp, now: a.now, wait: sleepContext, notice: r.notice,
	}
	r.stateDir = a.getenv("XDG_STATE_HOME")
	if home := a.getenv("HOME"); r.stateDir == "" && home != "" {
		r.stateDir = home + "/.local/state"
	}
	return r, nil
}

func (r *sendRun) checkFlags() (err error) {
	o := r.opts
	if r.batch, err = ParseBytes(o.batchBytes); err != nil || r.batch == 0 {
		return usageErrorf("--batch-bytes: %q is not a size above 0; %s", o.batchBytes, sizeRemedy)
	}
	if o.maxEvent != "" {
		if r.alone, err = ParseBytes(o.maxEvent); err != nil || r.alone == 0 {
			return usageErrorf("--max-event-bytes: %q is not a size above 0; %s", o.maxEvent, sizeRemedy)
		}
	}
	switch {
	case r.format != formatAuto && r.format != formatNDJSON && r.format != formatJSON:
		return usageErrorf("--format: write auto, ndjson or json")
	case !validStreamName(o.stream):
		return usageErrorf("--stream: %q cannot name a stream; %s", o.stream, streamNameRule)
	case o.concurrency < 1 || o.concurrency > 256:
		return usageErrorf("--concurrency: from 1 to 256")
	case o.batchEvents < 1 || o.batchEvents > 1_000_000:
		return usageErrorf("--batch-events: from 1 to 1000000")
	case o.rate < 0, o.timeout <= 0, o.giveUp < 0:
		return usageErrorf("--rate and --give-up-after must not be negative, and --timeout must be above 0")
	}
	if o.lines {
		r.format = formatLines
	}
	return nil
}

// notice tells people why nothing moves; scripts find it in the same place.
func (r *sendRun) notice(message string) {
	fmt.Fprintf(r.app.stderr, "weir: waiting to send again: %s\n", printable(message))
}

func totalSize(sources []sendSource) int64 {
	var total int64
	for _, s := range sources {
		if s.size == 0 {
			return 0 // unknown: a pipe, or nothing to show progress of
		}
		total += s.size
	}
	return total
}
