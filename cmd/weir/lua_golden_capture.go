package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/lua"
)

// The actions of a capture.
const (
	captureAdded   = "added"
	captureRenewed = "renewed"
	captureSame    = "there" // already, with the same result
	captureLeftOut = "left_out"
)

// captureView is one event of a capture in JSON.
type captureView struct {
	Name   string            `json:"name"`
	From   string            `json:"from,omitempty"`
	Action string            `json:"action"`
	Reason string            `json:"reason,omitempty"` // of one that is left out
	Want   *lua.GoldenResult `json:"want,omitempty"`
}

// goldenCapture takes events into the file beside one script.
type goldenCapture struct {
	a      *app
	script *lua.Script
	path   string
	flags  *goldenFlags
	output outputFormat

	events    []lua.GoldenEvent
	byOrigin  map[string]int // their places, by epoch and offset
	byContent map[string]int // by stream and bytes
	bytes     int
	views     []captureView // for outputs that are not for people

	added, renewed, same, left int
	failures                   int // of the added and renewed, on which the script fails
	full                       bool
}

func (c *goldenCapture) changed() bool { return c.added+c.renewed > 0 }

// errEnough ends the reading of events when the limit is reached.
var errEnough = errors.New("enough events")

// originOf names the event behind a letter or a record, "" when from does not.
func originOf(from string) string {
	_, key, _ := strings.Cut(from, " ")
	k, err := flush.ParseKey(key)
	if err != nil {
		return ""
	}
	k.Ordinal = 0
	return k.ID()
}

func contentOf(e *lua.GoldenEvent) string { return e.Stream + "\x00" + string(e.Event) }

func (c *goldenCapture) add(e lua.GoldenEvent) {
	if origin := originOf(e.From); origin != "" {
		c.byOrigin[origin] = len(c.events)
	}
	c.byContent[contentOf(&e)] = len(c.events)
	c.events = append(c.events, e)
}

// find returns the place of an event that is there already.
func (c *goldenCapture) find(e *lua.GoldenEvent) (int, bool) {
	if i, ok := c.byOrigin[originOf(e.From)]; ok {
		return i, true
	}
	i, ok := c.byContent[contentOf(e)]
	return i, ok
}

// take adds an event, or renews it where it is there and that is wanted. It returns errEnough when the event
// would be one more than wanted.
func (c *goldenCapture) take(e lua.GoldenEvent) error {
	if ingest.ValidateEvent(e.Event) != nil {
		c.leave(&e, "its bytes are no event")
		return nil
	}
	if i, ok := c.find(&e); ok {
		if c.flags.update {
			return c.renew(i)
		}
		c.same++
		c.report(&c.events[i], captureSame, nil)
		return nil
	}
	if c.added == c.flags.limit {
		c.full = true
		return errEnough
	}
	steady, err := c.judge(&e)
	if err != nil || !steady {
		return err
	}
	if c.bytes += len(e.Event); c.bytes > lua.MaxGoldenBytes {
		return errTooLarge
	}
	c.add(e)
	c.added++
	c.report(&e, captureAdded, nil)
	return nil
}

// judge finds out what the script makes of an event. One of which it makes something else each time is of no
// use and left out: steady is false.
func (c *goldenCapture) judge(e *lua.GoldenEvent) (steady bool, err error) {
	first, err := c.script.Golden(e)
	if err != nil {
		return false, err
	}
	second, err := c.script.Golden(e)
	if err != nil {
		return false, err
	}
	if !first.Equal(&second) {
		c.leave(e, "the script makes something else of it each time")
		return false, nil
	}
	e.Want = first
	if first.Error != nil {
		c.failures++
	}
	return true, nil
}

// renew replaces what is wanted of an event by what the script makes of it now.
func (c *goldenCapture) renew(i int) error {
	e := c.events[i]
	failures := c.failures
	steady, err := c.judge(&e)
	if err != nil || !steady {
		return err
	}
	before := c.events[i].Want
	if before.Equal(&e.Want) {
		c.failures = failures
		c.same++
		c.report(&e, captureSame, nil)
		return nil
	}
	c.events[i] = e
	c.renewed++
	c.report(&e, captureRenewed, &before)
	return nil
}

func (c *goldenCapture) renewAll(ctx context.Context) error {
	for i := range c.events {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.renew(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *goldenCapture) leave(e *lua.GoldenEvent, reason string) {
	c.left++
	if c.output != outputTable {
		c.views = append(c.views, captureView{Name: e.Name, From: e.From, Action: captureLeftOut, Reason: reason})
		return
	}
	fmt.Fprintf(c.a.stdout, "%s %s: %s\n", c.a.paint(c.a.stdout, colourYellow, "left out"), printable(e.Name), reason)
}

// report shows what was done with an event: a new one as the difference between event and document, for that
// is what somebody blesses; one that is renewed as the difference between before and now.
func (c *goldenCapture) report(e *lua.GoldenEvent, action string, before *lua.GoldenResult) {
	if c.output != outputTable {
		c.views = append(c.views, captureView{Name: e.Name, From: e.From, Action: action, Want: &e.Want})
		return
	}
	if action == captureSame {
		return
	}
	out, want := c.a.stdout, e.Want.String()
	if e.Want.Error != nil {
		want = c.a.paint(out, colourRed, printable(want))
	} else if e.Want.Dropped {
		want = c.a.paint(out, colourYellow, want)
	}
	fmt.Fprintf(out, "%s %s: %s\n", c.a.paint(out, colourGreen, action), printable(orElse(e.Name, e.From)), want)
	if before != nil {
		c.a.printDiff(out, out, "  ", goldenText(before), goldenText(&e.Want))
		return
	}
	for i, d := range e.Want.Documents {
		head := settingsText(d.ID, d.Pipeline, d.Routing)
		if d.Index != "" {
			head = ", index " + d.Index + head
		}
		if head != "" || len(e.Want.Documents) > 1 {
			fmt.Fprintf(out, "  %s\n", printable(fmt.Sprintf("document %d%s", i+1, head)))
		}
		c.a.printDiff(out, out, "  ", indentedJSON(e.Event), indentedJSON(d.Source))
	}
}

// goldenText is a result over several lines.
func goldenText(r *lua.GoldenResult) string {
	var b strings.Builder
	if err := outputJSON.write(&b, r); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
