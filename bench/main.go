package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errFailed ends a run that found something lost, doubled or refused. The reports say what.
var errFailed = errors.New("something acknowledged did not arrive as it should, or a request failed; see above")

func newCommand() *cobra.Command {
	o := options{out: os.Stdout, progress: os.Stderr}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure weir beside what the machine could do at all",
		Long: `Starts weir and the servers that it is compared with, one after the other and round by
round, puts the same load on each, checks that everything acknowledged arrived, and
prints a table. See docs/benchmarks.md.

` + scenarioHelp(),
		Example: `  go run ./bench
  go run ./bench --scenario ack --seconds 5 --rounds 9
  go run ./bench --weir bin/weir --json report.json --markdown report.md
  go run ./bench --scenario delivery --rounds 1 --profile profiles`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.command = "go run ./bench " + strings.Join(os.Args[1:], " ")
			return run(cmd.Context(), o)
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	flags := cmd.Flags()
	flags.StringSliceVar(&o.scenarios, "scenario", []string{"all"}, "scenarios to run, or all")
	flags.Float64Var(&o.seconds, "seconds", 2, "length of a round's measured window; a fifth of it more is for warming up")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each target")
	flags.StringVar(&o.weir, "weir", "", "measure `BINARY`; without it, ./cmd/weir is built")
	flags.StringVar(&o.before, "before", "", "measure `BINARY` beside it, round by round: what a change brings")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "put the data of the run into `DIRECTORY`, on the disk to be measured")
	flags.IntVar(&o.threads, "threads", 0, "threads of the load generator; 0: half of the cores")
	flags.StringVar(&o.json, "json", "", "write the report as JSON to `FILE`")
	flags.StringVar(&o.markdown, "markdown", "", "write the report as Markdown to `FILE`")
	flags.StringVar(&o.profiles, "profile", "", "keep CPU and heap profiles of weir's first rounds in `DIRECTORY`")
	cmd.AddCommand(newChildCommand())
	return cmd
}
