package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/weirlog/weir/bench/report"
)

// rowsRound is one round of a case whose rows come from one run of weir, one after the other. problems are what fails
// the run, err is why the round could not go on; rows measured until then count.
type rowsRound func(ctx context.Context, dir, binary string, first bool) (rows []measuredRow, problems []string, err error)

type measuredRow struct {
	target string
	round  report.Round
}

// runRows runs all rounds of such a case, weir and the one that it is compared with in turn. Each takes about so long.
func (l *lab) runRows(ctx context.Context, info report.Case, takes time.Duration, round rowsRound) error {
	binaries := []struct{ prefix, path string }{{"", l.weir}}
	if l.before != "" {
		binaries = append(binaries, struct{ prefix, path string }{report.Before, l.before})
	}
	for n := range l.rounds {
		for _, b := range binaries {
			name := fmt.Sprintf("%s, %s, %sround %d", info.Scenario, info.Name, b.prefix, n+1)
			l.doing(info.Scenario, info.Name, b.prefix+"weir", n)
			rows, problems, err := l.inDir(ctx, b.path, n == 0, round)
			for _, p := range problems {
				l.report.Failures = append(l.report.Failures, name+": "+p)
				l.say("FAILED: %s: %s", name, p)
			}
			for _, r := range rows {
				l.report.Add(info, b.prefix+r.target, r.round)
				l.done(takes/time.Duration(len(rows)), info.Scenario, info.Name, b.prefix+r.target, n, &r.round)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// inDir runs a round in a directory of its own.
func (l *lab) inDir(ctx context.Context, binary string, first bool, round rowsRound) (rows []measuredRow, problems []string, err error) {
	dir, err := os.MkdirTemp(l.dir, "round-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return round(ctx, dir, binary, first)
}
