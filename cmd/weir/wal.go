package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/wal"
)

const walPath = "/api/v1/wal"

func newWALCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wal",
		Short: "Look at the log: segments, records, damage",
		Long: `Looks at the log. The commands ask the running service; when none runs, they open the
data directory themselves, under its lock, and change nothing in the log but with
repair.`,
		Example: "  weir wal info\n  weir wal verify\n  weir wal cat --from 1000 --to 1010",
	}
	cmd.AddCommand(newWALInfoCmd(a), newWALVerifyCmd(a), newWALCatCmd(a), newWALRepairCmd(a))
	return cmd
}

func newWALInfoCmd(a *app) *cobra.Command {
	var output outputFormat
	cmd := &cobra.Command{
		Use:     "info",
		Short:   "Show segments, offsets, checkpoints and lag",
		Example: "  weir wal info\n  weir wal info --data-dir /backup/data -o json",
		Args:    cobra.NoArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := a.openAdmin(cmd, offlineNeeds{})
		if err != nil {
			return err
		}
		var rep walReport
		if err := closing(client, client.get(cmd.Context(), walPath, nil, &rep)); err != nil {
			return err
		}
		if output != outputTable {
			return output.write(a.stdout, rep)
		}
		return a.printWAL(&rep)
	}
	return cmd
}

func (a *app) printWAL(rep *walReport) error {
	st := &rep.Status
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("epoch", "%s", st.Epoch)
	line("offsets", "%d to %d durable", st.FirstOffset, st.DurableOffset)
	size := humanBytes(st.Bytes)
	if st.MaxBytes > 0 {
		size += fmt.Sprintf(" of %s (%d %%)", humanBytes(st.MaxBytes), st.Bytes*100/st.MaxBytes)
	}
	line("size", "%s in %s", size, counted(st.Segments, "segment", "segments"))
	if st.FreeBytes >= 0 {
		line("free on disk", "%s", humanBytes(st.FreeBytes))
	}
	line("lag", "%s", counted(int(rep.Lag), "record", "records"))
	if !st.LastSync.IsZero() {
		line("last fsync", "%s", ago(a.now(), st.LastSync))
	}
	if st.Refusing != "" {
		line("refusing", "%s", printable(st.Refusing))
	}
	if st.Failures > 0 {
		line("failures", "%d writes or syncs failed since the start", st.Failures)
	}
	if d := rep.LostBegin; d != nil {
		line("damaged", "it lost its beginning: offsets %d to %d are not settled and not there; the next start makes a dead letter of them", d.First, d.Last)
	}
	if rep.LostEnd != nil {
		line("damaged", "it %s", lostText(&wal.CorruptionError{First: rep.LostEnd.First, Last: rep.LostEnd.Last}))
	} else if rep.Clean != nil {
		line("closed", "%s", closedText(*rep.Clean, rep.TornBytes))
	}
	if rep.Database != "" {
		line("weir.db", "%s; the next start makes it anew, and what is in the log is delivered again under the same ids", printable(rep.Database))
	}
	if h := rep.Home; h != nil && rep.Clean != nil && rep.Elsewhere == "" {
		line("last used", "by host %s at %s (%s)", printable(orElse(h.Host, "(unknown)")), printable(h.Path), printable(lastUse(*h)))
	}
	if rep.Elsewhere != "" {
		line("elsewhere", "%s", printable(rep.Elsewhere))
	}
	fmt.Fprintln(&b)
	width := a.width(a.stdout)
	streams := newTable("stream", ">checkpoint", ">behind by", "index", "script")
	for _, s := range rep.Streams {
		streams.add(s.Name, strconv.FormatUint(uint64(s.Checkpoint), 10), humanCount(s.Lag), s.Index, s.Script)
	}
	if err := streams.render(&b, width); err != nil {
		return err
	}
	fmt.Fprintln(&b)
	segments := newTable("segment", ">first offset", ">size", "epoch", "")
	for _, s := range rep.Segments {
		active := ""
		if s.Active {
			active = "active"
		}
		segments.add(s.Name, strconv.FormatUint(uint64(s.First), 10), humanBytes(s.Bytes), s.Epoch, active)
	}
	if err := segments.render(&b, width); err != nil {
		return err
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

func closedText(clean bool, torn int64) string {
	switch {
	case clean && torn == 0:
		return "in order"
	case torn == 0:
		return "not in order (a crash or a kill), nothing is torn"
	}
	return fmt.Sprintf("not in order; %s of groups that never became whole will be set aside by the next start", humanBytes(torn))
}

func newWALCatCmd(a *app) *cobra.Command {
	var output outputFormat
	var from, to uint64
	var limit int
	var stream string
	var raw bool
	cmd := &cobra.Command{
		Use:   "cat",
		Short: "Print records of the log",
		Long: `Prints the records from one offset to another, both included; without --from and --to,
all that are in the log. --raw prints the events alone, each exactly as it was
received and followed by a line break.`,
		Example: `  weir wal cat --from 1000 --to 1010
  weir wal cat --raw --stream shop > events.ndjson
  weir wal cat -o ndjson | jq 'select(.rejected)'`,
		Args: cobra.NoArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&from, "from", 0, "first `OFFSET`")
	flags.Uint64Var(&to, "to", 0, "last `OFFSET`")
	flags.IntVar(&limit, "limit", 0, "at most `N` records")
	flags.StringVar(&stream, "stream", "", "only records of this `STREAM`")
	flags.BoolVar(&raw, "raw", false, "print the events alone, exactly")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to != 0 && from > to {
			return usageErrorf("--from %d lies behind --to %d", from, to)
		}
		if limit < 0 {
			return usageErrorf("--limit cannot be below 0")
		}
		if raw && cmd.Flags().Changed("output") {
			return usageErrorf("--raw does not go with -o")
		}
		params := url.Values{}
		for name, n := range map[string]uint64{"from": from, "to": to, "limit": uint64(limit)} {
			if n != 0 {
				params.Set(name, strconv.FormatUint(n, 10))
			}
		}
		if stream != "" {
			params.Set("stream", stream)
		}
		client, err := a.openAdmin(cmd, offlineNeeds{})
		if err != nil {
			return err
		}
		return closing(client, a.catRecords(cmd.Context(), client, params, raw, output))
	}
	return cmd
}

func (a *app) catRecords(ctx context.Context, client *adminClient, params url.Values, raw bool, output outputFormat) error {
	const path = walPath + "/records"
	if !raw && output != outputTable {
		return a.copyLines(ctx, client, http.MethodGet, path, params, output)
	}
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	terminal := a.isTerminal(a.stdout)
	_, err := client.lines(ctx, http.MethodGet, path, params, nil, func(line []byte) error {
		var rec recordView
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("read the service's answer: %w", err)
		}
		switch {
		case !raw:
			_, err := out.WriteString(recordLine(&rec))
			return err
		case rec.Event == nil:
			_, err := fmt.Fprintf(a.stderr, "offsets %d to %d are damaged\n", rec.Offset, rec.Offset+wal.Offset(max(rec.Count, 1))-1)
			return err
		case terminal:
			_, err := out.WriteString(printable(string(rec.Event.Bytes)) + "\n")
			return err
		}
		_, err := out.Write(append(rec.Event.Bytes, '\n'))
		return err
	})
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

// recordLine prints a record on one line, which need not fit the terminal: the event is the point.
func recordLine(rec *recordView) string {
	if rec.Damage != nil || rec.Event == nil {
		reason := ""
		if rec.Damage != nil {
			reason = fmt.Sprintf("%s at byte %d: %s", rec.Damage.Segment, rec.Damage.Position, rec.Damage.Reason)
		}
		return fmt.Sprintf("%d  DAMAGED, %s  %s\n", rec.Offset, counted(int(rec.Count), "record", "records"), printable(reason))
	}
	mark := ""
	if rec.Rejected {
		mark = "REJECTED (" + printable(rec.Reason) + ")  "
	}
	return fmt.Sprintf("%d  %s  %s  %s%s\n", rec.Offset, rec.ReceivedAt.UTC().Format(time.RFC3339Nano), printable(rec.Stream), mark, printable(string(rec.Event.Bytes)))
}
