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
  go run ./bench --full --report reports
  go run ./bench compare old/report.json reports/report.json
  go run ./bench --scenario delivery --rounds 1 --profile profiles
  go run ./bench --target vector=http://127.0.0.1:8686/,ndjson --pid 4711`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		PreRunE:       func(cmd *cobra.Command, _ []string) error { return o.others.alone(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.command = "go run ./bench " + strings.Join(os.Args[1:], " ")
			return run(cmd.Context(), o)
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	flags := cmd.Flags()
	o.commonFlags(flags)
	flags.IntVar(&o.rounds, "rounds", quickRounds, "rounds of each target")
	flags.StringSliceVar(&o.scenarios, "scenario", []string{"all"}, "scenarios to run, or all")
	flags.BoolVar(&o.full, "full", false, "run the cases that a quick run leaves out, too")
	flags.DurationVar(&o.longestRound, "longest-round", 0, "leave out cases of which a round takes longer than about `TIME`; 0: none")
	flags.Float64Var(&o.seconds, "seconds", quickSeconds, "length of a round's measured window; a fifth of it more is for warming up")
	flags.IntVar(&o.threads, "threads", 0, "threads of the load generator; 0: half of the cores")
	o.others.flags(flags)
	cmd.AddCommand(newCompareCommand(), newElasticCommand(), newChildCommand())
	return cmd
}
