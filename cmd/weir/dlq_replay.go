package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush/deadletter"
)

func newDLQReplayCmd(a *app) *cobra.Command {
	var filter letterFilter
	var output outputFormat
	var req letterRequest
	var patch replayPatch
	var sample int
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
settled stays.

--with FILE names a patch: a script with transform(event, meta) for this replay
alone. It gets each document that the stream's script makes, and returns it changed,
several, or nothing, which gives the letter up as dropped. For letters of stage
transform it runs before the stream's script, on the event as received. --lua takes
the lines between, as weir dlq stats proposes them. Ids stay those of the letters, and
a patch chooses an index only among elasticsearch.allowed_indices.

--dry-run sends nothing and records nothing. It runs the scripts, and asks the
destination what it would say: Elasticsearch by _ingest/_simulate, where that looks at
mappings, else a scratch index (weir-scratch-...) with the target's mapping, which is
deleted again. Where the credentials allow neither, only the scripts are checked, and
it says so.

weir dlq export makes new events instead, with new ids.`,
		Example: `  weir dlq replay --dry-run
  weir dlq replay --field context.time --with patch.lua --dry-run
  weir dlq replay --field trace --lua 'event.trace = nil'
  weir dlq replay --stage transform --rate 500
  weir dlq replay 5f0c1d2e3a4b5c6d-1042-0`,
	}
	filter.addFlags(cmd)
	output.addFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&req.DryRun, "dry-run", false, "say what would become of the letters; send nothing and change nothing")
	flags.IntVar(&sample, "sample", defaultSample, "with --dry-run, ask the destination about the first `N` letters; -1 for all")
	patch.addFlags(cmd)
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
		if req.DryRun {
			req.Sample = &sample
		} else if flags.Changed("sample") {
			return usageErrorf("--sample goes with --dry-run")
		}
		if err := patch.read(&req); err != nil {
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
	case s.Failed > 0 || s.Skipped > 0 || s.Refused > 0:
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
	case deadletter.ResultFailed, deadletter.ResultSkipped, deadletter.ResultRefused:
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
		v.bar.describe("waiting for " + waitsFor(l) + ": " + l.Type)
		return
	}
	if now := v.a.now(); now.Sub(v.waiting) > time.Minute {
		v.waiting = now
		fmt.Fprintf(v.a.stderr, "the destination does not take %s: %s: %s; %s\n", counted(l.Documents, "document", "documents"), printable(l.Type), printable(l.Reason), remedyOf(l))
	}
}

func waitsFor(l *replayLine) string {
	if l.Parked {
		return "an operator"
	}
	return "the destination"
}

// remedyOf says what ends the waiting.
func remedyOf(l *replayLine) string {
	if !l.Parked {
		return "trying again until it does"
	}
	mend := map[string]string{
		"status_401": "check elasticsearch.username and password, or api_key",
		"status_403": "give the credentials the privilege create_doc on the index",
		"tls":        "check the certificate, elasticsearch.ca_file, and http against https",
		"disk_full":  "make room on the disk of the data directory",
	}[l.Type]
	if mend == "" {
		mend = "check elasticsearch.addresses and what stands between"
	}
	return "this does not pass by itself: " + mend + ". Trying again now and then; Ctrl-C is safe, and after a change of the configuration weir has to be restarted"
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
		v.printForetold()
	} else {
		v.printDone()
	}
	for _, o := range s.Outcomes {
		if o.Result == deadletter.ResultFailed || o.Result == deadletter.ResultSkipped || o.Result == deadletter.ResultRefused {
			fmt.Fprintf(out, "  %s %s because of %s, for example %s\n", humanCount(o.Count), stayWord(o.Result, o.Count), causeText(o.Type, o.Field), o.Example)
		}
	}
	for _, n := range s.Notes {
		fmt.Fprintf(out, "  %s\n", printable(n))
	}
	return nil
}

func stayWord(r deadletter.Result, n int) string {
	switch {
	case r == deadletter.ResultRefused:
		return "would fail again"
	case n == 1:
		return "stays"
	}
	return "stay"
}

// causeText is a type and, where it is known, the field.
func causeText(typ, field string) string {
	if field == "" {
		return printable(typ)
	}
	return printable(typ) + ", field " + printable(field)
}

func (v *replayView) printDone() {
	s := v.summary
	fmt.Fprintf(v.a.stdout, "%s: %s delivered, %s, %s failed again, %s skipped; %s stored, %s were there already",
		counted(s.Total, "letter", "letters"), humanCount(s.Delivered), v.droppedText(), humanCount(s.Failed), humanCount(s.Skipped),
		counted(s.Documents, "document", "documents"), humanCount(s.Duplicates))
	if s.FailureStore > 0 {
		fmt.Fprintf(v.a.stdout, ", %s went to a failure store", humanCount(s.FailureStore))
	}
	fmt.Fprintln(v.a.stdout)
}

// printForetold says what a dry run found, and apart from it what was not asked about.
func (v *replayView) printForetold() {
	s := v.summary
	fmt.Fprintf(v.a.stdout, "%s: ", counted(s.Total, "letter", "letters"))
	if s.Accepted+s.Refused > 0 {
		fmt.Fprintf(v.a.stdout, "%s would be delivered, %s would be refused again, ", humanCount(s.Accepted), humanCount(s.Refused))
	}
	if s.Ready > 0 || s.Accepted+s.Refused == 0 {
		fmt.Fprintf(v.a.stdout, "%s would be sent, the destination was not asked about them, ", humanCount(s.Ready))
	}
	fmt.Fprintf(v.a.stdout, "%s, %s would stay\n", v.droppedText(), humanCount(s.Failed+s.Skipped))
}

func (v *replayView) droppedText() string {
	text := humanCount(v.summary.Dropped-v.summary.DroppedByPatch) + " dropped by the script"
	if n := v.summary.DroppedByPatch; n > 0 {
		text += ", " + humanCount(n) + " by the patch"
	}
	return text
}

// replayPatch is the patch as flags give it.
type replayPatch struct {
	file  string
	lines string
}

func (p *replayPatch) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "with", "", "change what is sent with the transform of this Lua `FILE`")
	cmd.Flags().StringVar(&p.lines, "lua", "", "change what is sent with these `LINES`, the middle of a transform(event, meta)")
	cmd.MarkFlagsMutuallyExclusive("with", "lua")
}

// read puts the text of the patch into the request. The service compiles it, in the limits that it has.
func (p *replayPatch) read(req *letterRequest) error {
	switch {
	case p.file != "":
		source, err := os.ReadFile(p.file)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(source)) == 0 {
			return fmt.Errorf("%s is empty", p.file)
		}
		req.Patch, req.PatchName = string(source), filepath.Base(p.file)
	case p.lines != "":
		// On one line with what is around it, so that an error names the line of LINES.
		req.Patch, req.PatchName = "function transform(event, meta) "+p.lines+"\nreturn event end", "--lua"
	}
	return nil
}
