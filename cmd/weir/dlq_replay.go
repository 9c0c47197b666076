package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush/deadletter"
)

func newDLQReplayCmd(a *app) *cobra.Command {
	var filter letterFilter
	var output outputFormat
	var req letterRequest
	cmd := &cobra.Command{
		Use:   "replay [KEY...]",
		Short: "Send dead letters again",
		Long: `Sends dead letters again, the oldest first, and returns when each is settled or has
failed again: exit code 0 when all are settled, 1 when any stays. Without keys and
filters it replays all.

An event goes through the script that is in force now, under ids made from the
letter's key, so that a replay that was cut off can be repeated: nothing is sent
twice. A letter whose event the script now turns into another number of documents
stays and says so. Letters put while the replay runs are left alone. While the
destination is away the replay waits for it; Ctrl-C ends it, and what was not
settled stays.`,
		Example: `  weir dlq replay --dry-run
  weir dlq replay --stage transform --rate 500
  weir dlq replay 5f0c1d2e3a4b5c6d-1042-0`,
	}
	filter.addFlags(cmd)
	output.addFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&req.DryRun, "dry-run", false, "validate and transform, but send nothing and change nothing")
	flags.BoolVar(&req.AsSent, "as-sent", false, "send the stored document of letters of stage index, not what the script makes now")
	flags.BoolVar(&req.AsNew, "as-new", false, "where the script now makes another number of documents, send all of them under new ids")
	flags.Float64Var(&req.Rate, "rate", 0, "at most `N` letters a second")
	cmd.MarkFlagsMutuallyExclusive("as-sent", "as-new")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if req.Keys, err = keysOrFilter(args, &filter); err != nil {
			return err
		}
		if req.Rate < 0 {
			return usageErrorf("--rate cannot be below 0")
		}
		if req.Filter, err = filter.absolute(a); err != nil {
			return err
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true, delivery: true})
		if err != nil {
			return err
		}
		return closing(client, a.replayLetters(cmd.Context(), client, &req, output))
	}
	return cmd
}

// replayShown is how many letters that stay are named.
const replayShown = 10

// replayView follows a replay.
type replayView struct {
	a       *app
	output  outputFormat
	bar     *progress
	shown   int // letters the bar knows of
	stay    []replayLine
	summary *deadletter.Summary
	waiting time.Time // when a pause was told last, where there is no bar
}

func (a *app) replayLetters(ctx context.Context, client *adminClient, req *letterRequest, output outputFormat) error {
	view := &replayView{a: a, output: output}
	_, err := client.lines(ctx, http.MethodPost, lettersPath+"/replay", nil, req, view.line)
	if view.bar != nil {
		view.bar.finish()
	}
	if view.summary != nil {
		if perr := view.print(req.DryRun); err == nil {
			err = perr
		}
	}
	switch s := view.summary; {
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("%w; letters that were not settled stay as they are", err)
	case err != nil:
		return err
	case s == nil:
		return errors.New("the service's answer broke off; weir dlq ls shows which letters stay")
	case s.Failed > 0 || s.Skipped > 0:
		return errReported
	}
	return nil
}

// line takes one line of the answer.
func (v *replayView) line(line []byte) error {
	var l replayLine
	if err := json.Unmarshal(line, &l); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	if v.output == outputNDJSON {
		if _, err := v.a.stdout.Write(append(line[:len(line):len(line)], '\n')); err != nil {
			return err
		}
	}
	if l.Summary != nil {
		v.summary = l.Summary
		return nil
	}
	if v.bar == nil {
		v.bar = v.a.newProgress(int64(l.Total), false, "replay")
	}
	switch l.Result {
	case deadletter.ResultWaiting:
		v.wait(&l)
		return nil
	case deadletter.ResultFailed, deadletter.ResultSkipped:
		if len(v.stay) < replayShown {
			v.stay = append(v.stay, l)
		}
	}
	v.bar.describe("replay")
	v.bar.add(int64(l.Done - v.shown))
	v.shown = l.Done
	return nil
}

// wait tells that the destination has to be asked again: in the bar, or now and then on standard error.
func (v *replayView) wait(l *replayLine) {
	if v.a.isTerminal(v.a.stderr) {
		v.bar.describe("waiting for the destination: " + l.Type)
		return
	}
	if now := v.a.now(); now.Sub(v.waiting) > time.Minute {
		v.waiting = now
		fmt.Fprintf(v.a.stderr, "the destination does not take %s: %s: %s; trying again until it does\n", counted(l.Documents, "document", "documents"), printable(l.Type), printable(l.Reason))
	}
}

// counted prints a number with the word that fits it.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanCount(n) + " " + many
}

func (v *replayView) print(dryRun bool) error {
	s, out := v.summary, v.a.stdout
	switch v.output {
	case outputNDJSON:
		return nil // was among the lines
	case outputJSON:
		return v.output.write(out, s)
	}
	if len(v.stay) > 0 {
		table := newTable("=key", "result", "type", "reason")
		for _, l := range v.stay {
			table.add(l.Key.String(), string(l.Result), l.Type, l.Reason)
		}
		if err := table.render(out, v.a.width(out)); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	if dryRun {
		fmt.Fprintf(out, "%s: %s would be sent, %s dropped by the script, %s would stay\n", counted(s.Total, "letter", "letters"),
			humanCount(s.Ready), humanCount(s.Dropped), humanCount(s.Failed+s.Skipped))
	} else {
		fmt.Fprintf(out, "%s: %s delivered, %s dropped by the script, %s failed again, %s skipped; %s stored, %s were there already\n",
			counted(s.Total, "letter", "letters"), humanCount(s.Delivered), humanCount(s.Dropped), humanCount(s.Failed), humanCount(s.Skipped),
			counted(s.Documents, "document", "documents"), humanCount(s.Duplicates))
	}
	for _, cause := range slices.SortedFunc(maps.Keys(s.Causes), func(a, b string) int { return s.Causes[b] - s.Causes[a] }) {
		fmt.Fprintf(out, "  %s stay because of %s\n", humanCount(s.Causes[cause]), printable(cause))
	}
	return nil
}
