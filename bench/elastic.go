package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// elasticOptions are the flags of "bench elastic".
type elasticOptions struct {
	options
	url         string
	documents   int       // of each round
	warmRounds  int       // to warm the server up, at most
	connections []int     // that the other loaders may try
	bodies      []float64 // sizes of their requests, in MB (10^6 bytes)
	serverPID   int       // of the server, for its processor time; 0: not looked at
	weirEnv     []string  // NAME=VALUE beyond what every weir of the benchmark is told
}

func newElasticCommand() *cobra.Command {
	o := elasticOptions{options: options{out: os.Stdout, progress: os.Stderr, threads: 1}}
	cmd := &cobra.Command{
		Use:   "elastic --url URL",
		Short: "Measure delivery into a real Elasticsearch or OpenSearch beside other loaders",
		Long: `Sends the same documents into one real server, round by round in turn: by a plain loop,
by esutil.BulkIndexer and by weir, with own ids and with ids that the server makes. The
settings of the first two are tried out before. Each round has a fresh index, which is
counted afterwards and deleted. See docs/benchmarks.md.`,
		Example: `  go run ./bench elastic --url http://127.0.0.1:9200
  go run ./bench elastic --url http://127.0.0.1:9200 --server-pid $PID --rounds 5 --markdown report.md
  go run ./bench elastic --url http://127.0.0.1:9200 --connections 2 --body-megabytes 2.5 --before weir-old`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.command = "go run ./bench " + strings.Join(os.Args[1:], " ")
			return runElastic(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.commonFlags(flags)
	flags.StringVar(&o.url, "url", "", "the server, which other work should leave alone meanwhile")
	flags.IntVar(&o.documents, "documents", 400_000, "documents of each round, rounded up to full requests")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of each target")
	flags.IntVar(&o.warmRounds, "warm-rounds", 12, "rounds to warm the server up, at most; 0: it is warm")
	flags.IntSliceVar(&o.connections, "connections", []int{1, 2, 4}, "connections that the loaders beside weir try; the fastest is measured")
	flags.Float64SliceVar(&o.bodies, "body-megabytes", []float64{1, 2.5, 5}, "sizes of requests that they try")
	flags.IntVar(&o.serverPID, "server-pid", 0, "process `ID` of the server, to report its processor time")
	flags.StringArrayVar(&o.weirEnv, "weir-env", nil, "configure weir by `NAME=VALUE` where it shall not have its default")
	return cmd
}

func (o *elasticOptions) validate() error {
	var errs []error
	if u, err := url.Parse(o.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, errors.New("--url: give the server's URL, such as http://127.0.0.1:9200"))
	}
	o.url = strings.TrimRight(o.url, "/")
	if o.documents < 1 {
		errs = append(errs, fmt.Errorf("--documents: %d is not a number of documents", o.documents))
	}
	if o.rounds < 1 {
		errs = append(errs, fmt.Errorf("--rounds: %d is not a number of rounds", o.rounds))
	}
	if o.warmRounds < 0 {
		errs = append(errs, fmt.Errorf("--warm-rounds: %d is not a number of rounds", o.warmRounds))
	}
	if len(o.connections) == 0 || len(o.bodies) == 0 {
		errs = append(errs, errors.New("--connections, --body-megabytes: the loaders need at least one of each"))
	}
	for _, n := range o.connections {
		if n < 1 {
			errs = append(errs, fmt.Errorf("--connections: %d is not a number of connections", n))
		}
	}
	for _, size := range o.bodies {
		if size <= 0 || size > 100 {
			errs = append(errs, fmt.Errorf("--body-megabytes: %g is not between 0 and 100", size))
		}
	}
	for _, pair := range o.weirEnv {
		if !strings.HasPrefix(pair, "WEIR_") || !strings.Contains(pair, "=") {
			errs = append(errs, fmt.Errorf("--weir-env: %q is not WEIR_NAME=VALUE", pair))
		}
	}
	return errors.Join(errs...)
}
