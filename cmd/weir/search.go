package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newSearchCmd(a *app) *cobra.Command {
	var output outputFormat
	var since, until string
	var limit, skip int
	var oldest bool
	cmd := &cobra.Command{
		Use:   "search [QUERY]",
		Short: "Find events in the embedded destination",
		Long: `Finds events in the embedded destination, the newest first. (Where an Elasticsearch is
configured, search there.) The query is in bleve's query-string syntax; without one,
all events are found. Quote it for the shell.

  timeout                  events with this word in any field
  timeout refused          with one of the words
  +timeout +refused        with both
  +timeout -retry          with the first and without the second
  "connection refused"     the words in this order
  message:timeout          the word in the field message
  context.user:ann         in a field of an object
  time*                    words that begin so; * in the middle too
  /time(d)?out/            words that a regular expression describes
  tmeout~1                 words that differ in one letter
  level:400                a number
  +level:>=400 +level:<500 a range of numbers
  datetime:>"2026-01-31"   a time after
  \+ \: \"                 a character that would mean something else`,
		Example: `  weir search '+level:>=400 +message:timeout'
  weir search --since 1h -o ndjson 'channel:payment' | jq .source`,
		Args: cobra.ArbitraryArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "only events received since `TIME`: 15m, 2d, 2026-01-31, 2026-01-31T12:00:00Z")
	flags.StringVar(&until, "until", "", "only events received before `TIME`")
	flags.IntVar(&limit, "limit", 20, "at most `N` events")
	flags.IntVar(&skip, "skip", 0, "leave out the first `N` events")
	flags.BoolVar(&oldest, "oldest-first", false, "the oldest events first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 || skip < 0 {
			return usageErrorf("--limit must be at least 1 and --skip cannot be below 0")
		}
		params := url.Values{"q": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}, "skip": {strconv.Itoa(skip)}}
		times := letterFilter{Since: since, Until: until}
		times, err := times.absolute(a)
		if err != nil {
			return err
		}
		params.Set("since", times.Since)
		params.Set("until", times.Until)
		if oldest {
			params.Set("oldest_first", "true")
		}
		client, err := a.openAdmin(cmd, offlineNeeds{store: true})
		if err != nil {
			return err
		}
		var answer searchAnswer
		if err := closing(client, client.get(cmd.Context(), "/api/v1/search", params, &answer)); err != nil {
			return err
		}
		return a.printHits(&answer, output)
	}
	return cmd
}

func (a *app) printHits(answer *searchAnswer, output outputFormat) error {
	switch output {
	case outputJSON:
		return output.write(a.stdout, answer)
	case outputNDJSON:
		return writeList(a.stdout, output, answer.Hits)
	}
	if len(answer.Hits) > 0 {
		// Without a terminal, lines are whole: the event as it is stored.
		table := newTable("received", "stream", "event")
		for _, h := range answer.Hits {
			event := string(h.Source)
			if a.isTerminal(a.stdout) {
				event = summarise(h.Source)
			}
			table.add(h.ReceivedAt.Local().Format(time.DateTime), h.Stream, event)
		}
		if err := table.render(a.stdout, a.width(a.stdout)); err != nil {
			return err
		}
	}
	found := counted(int(answer.Total), "event", "events")
	if shown := len(answer.Hits); uint64(shown) < answer.Total {
		found = fmt.Sprintf("%s of %s", humanCount(shown), found)
	}
	note := ""
	if answer.Truncated {
		note = "; some were left out because they are too large together"
	}
	_, err := fmt.Fprintf(a.stderr, "%s in %.1f ms%s\n", found, answer.TookMillis, note)
	return err
}
