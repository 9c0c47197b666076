package main

import (
	"time"

	"github.com/dustin/go-humanize/english"
)

// What a round takes besides its window: starting, looking for everything that was acknowledged, stopping. Measured on a machine
// with two cores and generous; an estimate is not a promise.
const (
	roundExtra     = 250 * time.Millisecond
	connectExtra   = 100 * time.Microsecond // of each connection that stays open
	transformExtra = 100 * time.Millisecond
)

// roundTakes is about how long a round takes: its window, warming up, and what comes besides.
func (o *options) roundTakes(extra time.Duration) time.Duration { return o.window()*6/5 + extra }

// takes is about how long a round of the case takes.
func (o *options) takes(c *benchCase) time.Duration {
	switch {
	case c.backlog > 0:
		return roundExtra + time.Duration(o.amount(int(c.takes)))
	case c.takes > 0:
		return c.takes
	case c.idle:
		return roundExtra + time.Duration(c.connections)*connectExtra
	}
	return o.roundTakes(roundExtra)
}

// leavesOut reports whether a case is not to run: it is for full runs only, or its rounds take too long.
func (o *options) leavesOut(full bool, round time.Duration) bool {
	return full && !o.full || o.longestRound > 0 && round > o.longestRound
}

// cases returns those of a scenario that are to run.
func (o *options) cases(s *scenario) (chosen []*benchCase) {
	for i := range s.cases {
		if c := &s.cases[i]; !o.leavesOut(c.full, o.takes(c)) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// estimate is about how long the chosen scenarios take, and how many of their cases are left out.
func (o *options) estimate() (total time.Duration, left int) {
	for i := range scenarios {
		s := &scenarios[i]
		if !o.wants(s) {
			continue
		}
		if s.takes != nil {
			takes, leaves := s.takes(o)
			total, left = total+takes, left+leaves
		}
		chosen := o.cases(s)
		left += len(s.cases) - len(chosen)
		for _, c := range chosen {
			total += time.Duration(o.rounds*len(o.targets(c))) * o.takes(c)
		}
	}
	return total, left
}

// about writes an estimate.
func about(d time.Duration) string {
	if d < 90*time.Second {
		return "about " + english.Plural(max(int(d.Round(time.Second).Seconds()), 1), "second", "")
	}
	return "about " + english.Plural(int(d.Round(time.Minute).Minutes()), "minute", "")
}

// announce tells how long the run takes and what it leaves out, and starts the bar.
func (l *lab) announce() {
	total, left := l.estimate()
	l.say("this takes %s", about(total))
	if left > 0 {
		l.note("%s left out: for --full, or with rounds longer than --longest-round", english.Plural(left, "case", ""))
	}
	l.startBar(total)
}
