package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
)

func newDLQShowCmd(a *app) *cobra.Command {
	var output outputFormat
	var only string
	var original bool
	cmd := &cobra.Command{
		Use:   "show KEY...",
		Short: "Show dead letters whole",
		Long: `Shows dead letters with their cause, the event as received and, where there was one,
the document as sent. --only prints nothing but the bytes of one of them, exactly
when standard output is no terminal.

In JSON, bytes are given as base64, and as text where they are valid UTF-8.`,
		Example: `  weir dlq show 5f0c1d2e3a4b5c6d-1042-0
  weir dlq show --only event 5f0c1d2e3a4b5c6d-1042-0 > event.json`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&only, "only", "", "print only the bytes of one `PART`: event, document or original")
	cmd.Flags().BoolVar(&original, "original", false, "the event as first received, before an edit; like --only original")
	cmd.MarkFlagsMutuallyExclusive("only", "original")
	complete(cmd, "only", "event", "document", "original")
	withDataDir(cmd)
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := letterKeys(args)
		if err != nil {
			return err
		}
		if original {
			only = "original"
		}
		switch only {
		case "", "event", "document", "original":
		default:
			return usageErrorf("--only is %q; write event, document or original", only)
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		return closing(client, a.showLetters(cmd.Context(), client, keys, only, output))
	}
	return cmd
}

func (a *app) showLetters(ctx context.Context, client *adminClient, keys []flush.Key, only string, output outputFormat) error {
	views := []*letterView{}
	failed := false
	for _, key := range keys {
		var view letterView
		err := client.get(ctx, lettersPath+"/"+key.String(), nil, &view)
		if known, ok := errors.AsType[*apiError](err); ok {
			fmt.Fprintf(a.stderr, "%s: %s\n", key, printable(known.message))
			failed = true
			continue
		}
		if err != nil {
			return err
		}
		views = append(views, &view)
	}
	if err := a.printLetters(views, only, output); err != nil {
		return err
	}
	if failed {
		return errReported
	}
	return nil
}

func (a *app) printLetters(views []*letterView, only string, output outputFormat) error {
	if only == "" && output != outputTable {
		return writeList(a.stdout, output, views)
	}
	for i, view := range views {
		if only != "" {
			if err := a.printPart(view, only); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if err := a.printLetter(view); err != nil {
			return err
		}
	}
	return nil
}

// printPart prints bytes as they are, unless somebody reads them on a terminal.
func (a *app) printPart(view *letterView, only string) error {
	part := map[string]*exactBytes{"event": view.Event, "document": view.Document, "original": view.Original}[only]
	if part == nil {
		return fmt.Errorf("%s holds no %s", view.Key, only)
	}
	if a.isTerminal(a.stdout) {
		_, err := fmt.Fprintln(a.stdout, printableLines(string(part.Bytes)))
		return err
	}
	_, err := a.stdout.Write(part.Bytes)
	return err
}

func (a *app) printLetter(l *letterView) error {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, printable(value))
		}
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano) + " (" + ago(a.now(), t) + ")"
	}
	field("key", l.Key.String())
	if l.Records > 1 {
		field("records", strconv.FormatUint(l.Records, 10))
	}
	cause := l.Type
	if l.Status != 0 {
		cause = strconv.Itoa(l.Status) + " " + cause
	}
	field("stage", string(l.Stage))
	field("cause", cause)
	field("reason", l.Reason)
	field("damage", l.Damage)
	field("attempts", strconv.Itoa(l.Attempts))
	field("first", when(l.FirstAt))
	if !l.LastAt.Equal(l.FirstAt) {
		field("last", when(l.LastAt))
	}
	field("edited", when(l.EditedAt))
	field("stream", l.Stream)
	field("received", when(l.ReceivedAt))
	if l.Remote.IsValid() {
		field("from", l.Remote.String())
	}
	field("destination", l.Destination)
	field("index", l.Index)
	field("id", l.ID)
	field("pipeline", l.Pipeline)
	field("routing", l.Routing)
	if l.Of > 1 {
		field("document", fmt.Sprintf("%d of %d that the event became", l.Key.Ordinal+1, l.Of))
	}
	field("script", l.Script)
	field("kept", l.Kept)
	for _, part := range []struct {
		name string
		c    *exactBytes
	}{{"event", l.Event}, {"document as sent", l.Document}, {"event as first received", l.Original}} {
		if part.c != nil {
			fmt.Fprintf(&b, "\n%s, %s\n%s\n", part.name, humanBytes(int64(len(part.c.Bytes))), pretty(part.c.Bytes))
		}
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}
