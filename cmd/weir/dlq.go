package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
)

const lettersPath = "/api/v1/dead-letters"

func newDLQCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Show, edit, replay and drop dead letters",
		Long: `Dead letters are events, or documents, that could not be delivered, kept with their
cause: by stage, ingest (no acceptable event; bodies that were refused whole are
among them), log (damaged on disk), transform (the script failed) and index (the
destination refused the document).

The commands ask the running service; when none runs, they open the data directory
themselves, under its lock.`,
		Example: `  weir dlq stats
  weir dlq ls --stage index --since 1h
  weir dlq show 5f0c1d2e3a4b5c6d-1042-0
  weir dlq replay --type mapper_parsing_exception --dry-run`,
	}
	cmd.AddCommand(newDLQLsCmd(a), newDLQShowCmd(a), newDLQStatsCmd(a), newDLQReplayCmd(a), newDLQEditCmd(a), newDLQExportCmd(a), newDLQDropCmd(a))
	return cmd
}

// addFlags adds the flags that choose letters.
func (f *letterFilter) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Stage, "stage", "", "only letters of this `STAGE`: ingest, log, transform or index")
	flags.IntVar(&f.Status, "status", 0, "only letters with this HTTP `STATUS`")
	flags.StringVar(&f.Type, "type", "", "only letters with this error `TYPE`, for example mapper_parsing_exception")
	flags.StringVar(&f.Reason, "reason", "", "only letters whose reason holds this `TEXT`, in any case")
	flags.StringVar(&f.Field, "field", "", "only letters whose reason names this `FIELD`, for example context.time")
	flags.StringVar(&f.Index, "index", "", "only letters for this `INDEX`")
	flags.StringVar(&f.Stream, "stream", "", "only letters of this `STREAM`")
	flags.StringVar(&f.Since, "since", "", "only letters put since `TIME`: 15m, 2d, 2026-01-31, 2026-01-31T12:00:00Z")
	flags.StringVar(&f.Until, "until", "", "only letters put before `TIME`")
	flags.IntVar(&f.Limit, "limit", 0, "at most `N` letters, the oldest first")
	flags.IntVar(&f.Skip, "skip", 0, "leave out the first `N` letters")
	complete(cmd, "stage", letterStages...)
	withDataDir(cmd)
}

// complete lets the shell complete a flag with a few fixed values.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// check makes wrong use of wrong values, before anything is asked.
func (f *letterFilter) check(a *app) error {
	if _, err := f.compile(a.now()); err != nil {
		return usageErrorf("--%s", err)
	}
	return nil
}

// values returns the filter, checked, as query parameters. Times are made absolute here, where the user's clock and
// zone are.
func (f *letterFilter) values(a *app) (url.Values, error) {
	g, err := f.absolute(a)
	if err != nil {
		return nil, err
	}
	v := url.Values{}
	for name, text := range map[string]string{
		"stage": g.Stage, "type": g.Type, "reason": g.Reason, "field": g.Field, "index": g.Index, "stream": g.Stream, "since": g.Since, "until": g.Until,
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, n := range map[string]int{"status": g.Status, "limit": g.Limit, "skip": g.Skip} {
		if n != 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	return v, nil
}

func (f *letterFilter) absolute(a *app) (letterFilter, error) {
	g := *f
	if err := f.check(a); err != nil {
		return g, err
	}
	for _, text := range []*string{&g.Since, &g.Until} {
		t, err := parseWhen(*text, a.now())
		if err != nil {
			return g, usageErrorf("%s", err)
		}
		if *text != "" {
			*text = t.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
		}
	}
	return g, nil
}

// letterKeys reads keys given as arguments.
func letterKeys(args []string) ([]flush.Key, error) {
	keys := make([]flush.Key, len(args))
	for i, arg := range args {
		key, err := flush.ParseKey(arg)
		if err != nil {
			return nil, usageErrorf("%s; weir dlq ls shows the keys", err)
		}
		keys[i] = key
	}
	return keys, nil
}

// keysOrFilter reads keys given as arguments, and refuses them together with a filter: it would not be clear
// what is meant.
func keysOrFilter(args []string, f *letterFilter) ([]flush.Key, error) {
	keys, err := letterKeys(args)
	if err == nil && len(keys) > 0 && !f.empty() {
		err = usageErrorf("give keys or a filter, not both")
	}
	return keys, err
}

// interactive reports whether a person sits before the command and can answer.
func (a *app) interactive() bool {
	if f, ok := a.stdin.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return false
	}
	return a.isTerminal(a.stderr)
}

// confirm asks a question; only y and yes are a yes.
func (a *app) confirm(question string) (bool, error) {
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// tableLetters is how many letters the table shows when no limit is given.
const tableLetters = 100

func newDLQLsCmd(a *app) *cobra.Command {
	var filter letterFilter
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List dead letters",
		Long: fmt.Sprintf(`Lists dead letters in the order in which they were put, then bodies that were
refused whole. The table shows the first %d of them, --limit more or fewer; with
-o json and -o ndjson all come that the filters choose.`, tableLetters),
		Example: `  weir dlq ls --stage index --status 400
  weir dlq ls --since 1h -o ndjson | jq -r .key`,
		Args: cobra.NoArgs,
	}
	filter.addFlags(cmd)
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		params, err := filter.values(a)
		if err != nil {
			return err
		}
		table := output == outputTable
		if table && !cmd.Flags().Changed("limit") {
			params.Set("limit", strconv.Itoa(tableLetters))
		}
		if table {
			params.Set("total", "true")
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		return closing(client, a.listLetters(cmd.Context(), client, params, output))
	}
	return cmd
}

// closing closes the client and returns the first error.
func closing(client *adminClient, err error) error {
	if cerr := client.close(); err == nil {
		err = cerr
	}
	return err
}

func (a *app) listLetters(ctx context.Context, client *adminClient, params url.Values, output outputFormat) error {
	if output != outputTable {
		return a.copyLines(ctx, client, http.MethodGet, lettersPath, params, output)
	}
	table := newTable("=key", "stage", ">status", "type", "stream", "put", ">tries", "reason")
	shown := 0
	header, err := client.lines(ctx, http.MethodGet, lettersPath, params, nil, func(line []byte) error {
		var e deadletter.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read the service's answer: %w", err)
		}
		shown++
		table.add(e.Key.String(), string(e.Stage), orDash(e.Status), e.Type, e.Stream, ago(a.now(), e.FirstAt), strconv.Itoa(e.Attempts), e.Reason)
		return nil
	})
	if err != nil {
		return err
	}
	if shown == 0 {
		_, err := fmt.Fprintln(a.stdout, "no dead letters")
		return err
	}
	if err := table.render(a.stdout, a.width(a.stdout)); err != nil {
		return err
	}
	if total, err := strconv.Atoi(header.Get(totalHeader)); err == nil && total > shown {
		fmt.Fprintf(a.stderr, "%s of %s; --limit and --skip show others, weir dlq stats groups them\n", humanCount(shown), humanCount(total))
	}
	return nil
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// copyLines prints a stream of values: as lines, or as one JSON array.
func (a *app) copyLines(ctx context.Context, client *adminClient, method, path string, params url.Values, output outputFormat) error {
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	n := 0
	_, err := client.lines(ctx, method, path, params, nil, func(line []byte) error {
		if output == outputJSON {
			sep := ",\n  "
			if n == 0 {
				sep = "[\n  "
			}
			n++
			if _, err := out.WriteString(sep); err != nil {
				return err
			}
			_, err := out.Write(line)
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	if output == outputJSON && err == nil {
		end := "\n]\n"
		if n == 0 {
			end = "[]\n"
		}
		_, err = out.WriteString(end)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}
