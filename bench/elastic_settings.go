package main

import (
	"context"
	"fmt"

	"github.com/weirlog/weir/bench/report"
)

// Settings are tried on fewer documents than are measured, and more than once, because neighbouring ones differ little.
const (
	settingsDocuments = 100_000
	settingsRounds    = 2
)

// A server that has just started compiles what it runs often, and is several times slower for its first million
// documents: it is warm when rounds no longer become faster by more than this share.
const (
	warmGain  = 0.05
	warmQuiet = 2 // rounds in a row without such a gain
)

// warmUp sends documents in turn with and without ids until the server is as fast as it will be, or the rounds are used up.
func (e *elasticLab) warmUp(ctx context.Context) error {
	t := loaderTarget(report.PlainLoop, e.flags.settings()[0])
	var fastest [2]float64 // of each case
	for n, quiet := 0, 0; n < e.flags.warmRounds && quiet < warmQuiet; n++ {
		for i := range elasticCases {
			round, err := e.round(ctx, &t, &elasticCases[i], false)
			if err != nil {
				return err
			}
			e.say("warming up       %-18s round %d  %7.0f documents/s", elasticCases[i].name, n+1, round.Delivered)
			if round.Delivered > fastest[i]*(1+warmGain) {
				quiet = -1
			}
			fastest[i] = max(fastest[i], round.Delivered)
		}
		quiet++
	}
	return nil
}

// settings are all that the flags allow.
func (o *elasticOptions) settings() []loaderSettings {
	var all []loaderSettings
	for _, connections := range o.connections {
		for _, megabytes := range o.bodies {
			all = append(all, loaderSettings{connections, int(megabytes * 1e6)})
		}
	}
	return all
}

// best tries the settings of a loader and returns the fastest.
func (e *elasticLab) best(ctx context.Context, name string) (loaderSettings, error) {
	all := e.flags.settings()
	if len(all) == 1 {
		return all[0], nil
	}
	small := *e
	small.flags.documents = fullRequests(min(e.flags.documents, settingsDocuments))
	defer func() { e.indices = small.indices }()
	scenario := "elastic settings"
	for n := range settingsRounds {
		for _, s := range all {
			t := loaderTarget(name, s)
			t.name = fmt.Sprintf("%s, %s", name, s)
			if err := small.record(ctx, scenario, &t, &elasticCases[0], n); err != nil {
				return loaderSettings{}, err
			}
		}
	}
	return fastest(all, func(s loaderSettings) float64 {
		// The best round, not the median: what else the machine did can only have slowed one down.
		_, most := e.report.Row(scenario, fmt.Sprintf("%s, %s", name, s)).Spread(report.Delivered)
		return most
	}), nil
}

func fastest(all []loaderSettings, speed func(loaderSettings) float64) loaderSettings {
	best := all[0]
	for _, s := range all[1:] {
		if speed(s) > speed(best) {
			best = s
		}
	}
	return best
}
