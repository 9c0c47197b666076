package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
)

func newStatusCmd(a *app) *cobra.Command {
	var output outputFormat
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how the service is",
		Long: `Shows state, rates, lag, the oldest event that is not settled, the last error and the
dead letters. --watch shows it anew every two seconds (--every), until Ctrl-C. The
state is ok, held up (delivery does not get on), refusing (new events get 503) or
stopped (no service runs).`,
		Example: "  weir status\n  weir status --watch\n  weir status -o json | jq .lag_records",
		Args:    cobra.NoArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it anew again and again")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "with --watch, the `TIME` between")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if every < 100*time.Millisecond {
			return usageErrorf("--every must be at least 100ms")
		}
		if watch {
			return a.watchStatus(cmd, output, every)
		}
		st, err := a.askStatus(cmd)
		if err != nil {
			return err
		}
		return a.printStatus(st, output)
	}
	return cmd
}

func (a *app) askStatus(cmd *cobra.Command) (*statusReport, error) {
	client, err := a.openAdmin(cmd, offlineNeeds{})
	if err != nil {
		return nil, err
	}
	var st statusReport
	return &st, closing(client, client.get(cmd.Context(), "/api/v1/status", nil, &st))
}

// watchStatus shows the status until ctx ends. While no service runs it looks at the data directory once
// and then only for a service: holding the lock would keep one from starting.
func (a *app) watchStatus(cmd *cobra.Command, output outputFormat, every time.Duration) error {
	ctx := cmd.Context()
	cfg, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var client *adminClient
	for looked := false; ; looked = true {
		if client == nil && (!looked || serviceRuns(cfg)) {
			if client, err = a.openAdminFor(ctx, cfg, offlineNeeds{}); err != nil {
				return err
			}
		}
		if client != nil {
			var st statusReport
			err := client.get(ctx, "/api/v1/status", nil, &st)
			if err != nil || !client.online {
				err = closing(client, err)
				client = nil
			}
			if err := a.showAgain(&st, err, output); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func serviceRuns(cfg *Config) bool {
	holder, held, err := wal.LockHolder(cfg.DataDir)
	return err == nil && held && holder.Admin != ""
}

// clearScreen moves to the top left and clears what is below.
const clearScreen = "\x1b[H\x1b[2J"

func (a *app) showAgain(st *statusReport, err error, output outputFormat) error {
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		_, err = fmt.Fprintln(a.stderr, printable(err.Error()))
		return err
	}
	if output == outputTable && a.isTerminal(a.stdout) {
		if _, err := io.WriteString(a.stdout, clearScreen); err != nil {
			return err
		}
	}
	return a.printStatus(st, output)
}

func (a *app) printStatus(st *statusReport, output outputFormat) error {
	if output != outputTable {
		return output.write(a.stdout, st)
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	a.statusHead(&b, st)
	if r := st.Rates; r != nil {
		line("in", "%s events a second (%s over five minutes)", rateText(r.Accepted.TenSeconds), rateText(r.Accepted.FiveMinutes))
		line("settled", "%s events a second (%s over five minutes)", rateText(r.Settled.TenSeconds), rateText(r.Settled.FiveMinutes))
	}
	lag := counted(int(st.Lag), "event", "events")
	if st.Flush != nil && !st.Flush.OldestUnsettled.IsZero() {
		lag += fmt.Sprintf(" waiting, the oldest for %s", humanDuration(max(0, st.Now.Sub(st.Flush.OldestUnsettled))))
	}
	line("lag", "%s", lag)
	if log := st.Log; log != nil {
		size := humanBytes(log.Bytes)
		if log.MaxBytes > 0 {
			size += fmt.Sprintf(" of %s (%d %%)", humanBytes(log.MaxBytes), log.Bytes*100/log.MaxBytes)
		}
		line("log", "%s, offsets %d to %d, %s free on the disk", size, log.FirstOffset, log.DurableOffset, humanBytes(max(0, log.FreeBytes)))
	}
	line("destination", "%s", destinationText(st))
	if fl := st.Flush; fl != nil {
		for i := range fl.Destinations {
			line("", "%s", destinationState(&fl.Destinations[i], st.Now))
			if text := st.ServerText(fl.Destinations[i].Name); text != "" {
				line("", "%s", text)
			}
		}
		since := fmt.Sprintf("%s delivered, %s were there already, %s dropped by the script, %s dead-lettered",
			humanCount(fl.Delivered), humanCount(fl.Duplicates), humanCount(fl.Dropped), humanCount(fl.DeadLettered))
		if fl.FailureStore > 0 {
			since += fmt.Sprintf(", %s into a failure store", humanCount(fl.FailureStore))
		}
		line("since start", "%s", since)
		if !fl.LastDelivery.IsZero() {
			line("last delivery", "%s", ago(st.Now, fl.LastDelivery))
		}
		if e := fl.LastError; e != nil {
			line("last error", "%s, %s: %s", ago(st.Now, e.Last), e.Doing, e.Error)
		}
	}
	line("dead letters", "%s", lettersText(st.DeadLetters))
	if r := st.Refused; r != nil && r.Records[flush.StageIngest] > 0 {
		line("refused", "%s whole, %s of %s", counted(int(r.Records[flush.StageIngest]), "body", "bodies"), humanBytes(r.Bytes), humanBytes(r.MaxBytes))
	}
	for i := range st.Scripts {
		line(map[bool]string{true: "scripts"}[i == 0], "%s", st.Scripts[i].Line(st.Now))
	}
	fmt.Fprintln(&b)
	streams := newTable("stream", ">checkpoint", ">behind by", "state", "index", "script")
	for _, s := range st.Streams {
		streams.add(s.Name, fmt.Sprint(s.Checkpoint), humanCount(s.Lag), stateText(s.Delivery), s.Index, strings.TrimSpace(s.Script+" "+s.Version))
	}
	if err := streams.render(&b, a.width(a.stdout)); err != nil {
		return err
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// statusHead writes the state, why it is so, and what else wants to be looked at.
func (a *app) statusHead(b *strings.Builder, st *statusReport) {
	colour := map[string]string{stateOK: colourGreen, stateHeldUp: colourYellow}[st.State]
	if colour == "" {
		colour = colourRed
	}
	fmt.Fprintf(b, "weir %s is %s", printable(st.Version.Version), a.paint(a.stdout, colour, st.State))
	if st.Flush != nil {
		fmt.Fprintf(b, ", up %s", humanDuration(time.Duration(st.UptimeSeconds*float64(time.Second))))
	}
	fmt.Fprintf(b, ", data in %s\n", printable(st.DataDir))
	if st.Why != "" {
		fmt.Fprintf(b, "  %s\n", printable(st.Why))
	}
	for _, n := range st.Notes {
		fmt.Fprintf(b, "  %s %s", a.paint(a.stdout, colourYellow, "!"), printable(n.Text))
		if n.Command != "" {
			fmt.Fprintf(b, " (%s)", printable(n.Command))
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintln(b)
}

func destinationText(st *statusReport) string {
	if s := st.Store; s != nil {
		return fmt.Sprintf("embedded store, %s documents, %s of %s", humanCount(s.Documents), humanBytes(s.Bytes), humanBytes(s.MaxBytes))
	}
	return st.Destination
}

func lettersText(s *deadletter.Status) string {
	if s == nil {
		return "unknown"
	}
	var parts []string
	for stage, n := range s.Records {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", humanCount(n), stage))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	slices.Sort(parts)
	text := strings.Join(parts, ", ") + ", " + humanBytes(s.Bytes)
	if s.MaxBytes > 0 {
		text += " of " + humanBytes(s.MaxBytes)
	}
	if s.Replay {
		text += "; a replay is running"
	}
	return text
}
