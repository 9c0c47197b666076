package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/weirlog/weir/bench/load"
)

// othersOptions are the flags about log receivers that the user has started.
type othersOptions struct {
	targets, pids, kills, restarts []string // as given
	sink                           string
	patience, settle               time.Duration // without a new event, at the longest; without any document, at the end

	all []*other // after validate
}

// other is a log receiver that the user has started.
type other struct {
	name    string
	address string // host:port, resolved
	host    string // for the head of requests
	path    string
	format  load.Format
	ackOnly bool // it delivers to nothing that can be asked

	pid     string // or a file that holds it; "": unknown
	kill    bool   // SIGKILL in the middle of the window
	restart string // command; "": the user starts it again

	killed    bool     // a number in pid says nothing any more
	restarted *process // what restart started last; nil: nothing
}

func (o *othersOptions) given() bool { return len(o.targets) > 0 }

func (o *othersOptions) flags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.targets, "target", nil, "in place of the scenarios, measure the log receiver `NAME=URL,FORMAT` that is running already; "+
		"FORMAT is one of "+formatNames()+"; with ,ack behind it nothing is looked for at the sink; may be repeated")
	flags.StringVar(&o.sink, "sink", "127.0.0.1:9299", "with --target: `ADDRESS` of the Elasticsearch that the receivers deliver to; the benchmark opens it")
	flags.StringArrayVar(&o.pids, "pid", nil, "with --target: `[NAME=]PID` of the receiver, or a file that holds it, for processor time and memory")
	flags.StringArrayVar(&o.kills, "kill", nil, "with --target: `[NAME=]PID`, or a file that holds it, of the receiver that gets SIGKILL in the middle of each round")
	flags.StringArrayVar(&o.restarts, "restart", nil, "with --kill: `[NAME=]COMMAND` that starts it again, by sh; write exec before the program. Without it, you do")
	flags.DurationVar(&o.patience, "patience", 30*time.Second, "with --target: wait so long for events that arrive no more, and for a receiver to start again")
	o.settle = time.Second
}

func formatNames() string {
	names := make([]string, len(load.Formats))
	for i, f := range load.Formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// validate reads the flags.
func (o *othersOptions) validate(rounds int) error {
	if !o.given() {
		if len(o.pids)+len(o.kills)+len(o.restarts) > 0 {
			return errors.New("--pid, --kill and --restart say something about a --target; name one")
		}
		return nil
	}
	var errs []error
	o.all = nil
	for _, text := range o.targets {
		t, err := newOther(text)
		if err == nil && slices.ContainsFunc(o.all, func(have *other) bool { return have.name == t.name }) {
			err = fmt.Errorf("there are two of the name %s", t.name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--target %s: %w", text, err))
			continue
		}
		o.all = append(o.all, t)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, f := range []struct {
		flag   string
		values []string
		take   func(*other, string) error
	}{
		{"--pid", o.pids, func(t *other, v string) error { t.pid = v; return checkPID(v) }},
		{"--kill", o.kills, func(t *other, v string) error { t.pid, t.kill = v, true; return checkPID(v) }},
		{"--restart", o.restarts, func(t *other, v string) error { t.restart = v; return nil }},
	} {
		for _, value := range f.values {
			if err := o.give(value, f.take); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", f.flag, value, err))
			}
		}
	}
	for _, t := range o.all {
		errs = append(errs, t.check(rounds))
	}
	if o.patience <= 0 {
		errs = append(errs, fmt.Errorf("--patience: %s is no time to wait", o.patience))
	}
	return errors.Join(errs...)
}

// give hands the value of a flag to the target that it names, or to the only one there is.
func (o *othersOptions) give(text string, take func(*other, string) error) error {
	if name, value, ok := strings.Cut(text, "="); ok {
		for _, t := range o.all {
			if t.name == name {
				return take(t, value)
			}
		}
	}
	if len(o.all) > 1 {
		return errors.New("there are several targets; write NAME= before it")
	}
	return take(o.all[0], text)
}

// alone refuses the flags of scenarios beside a target, which would be passed over, and gives its rounds the window that they need:
// receivers flush once a second or so.
func (o *othersOptions) alone(flags *pflag.FlagSet) error {
	if !o.given() {
		return nil
	}
	for _, name := range []string{"scenario", "before", "full", "longest-round", "profile"} {
		if flags.Changed(name) {
			return fmt.Errorf("--%s is of the scenarios, which --target takes the place of; leave one of the two out", name)
		}
	}
	if !flags.Changed("seconds") {
		return flags.Set("seconds", othersSeconds)
	}
	return nil
}

// othersSeconds is the window where receivers of others are measured.
const othersSeconds = "10"

// killedOnce says that the receiver can be killed in one round only: nobody tells the number that it has afterwards.
func (t *other) killedOnce() bool { return t.kill && t.restart == "" && isNumber(t.pid) }

func (t *other) check(rounds int) error {
	switch {
	case t.restart != "" && !t.kill:
		return fmt.Errorf("--restart: %s is not killed; add --kill", t.name)
	case t.killedOnce() && rounds > 1:
		return fmt.Errorf("--kill: nobody tells the number that %s has after its restart; write --rounds 1, a file that holds its PID, or --restart", t.name)
	}
	return nil
}

func isNumber(s string) bool { _, err := strconv.Atoi(s); return err == nil }

// checkPID refuses the numbers that mean something else to kill(2), and this process.
func checkPID(text string) error {
	if n, err := strconv.Atoi(text); err == nil && (n <= 1 || n == os.Getpid()) {
		return errors.New("not the PID of a log receiver")
	}
	return nil
}

// newOther reads NAME=URL,FORMAT[,ack].
func newOther(text string) (*other, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return nil, errors.New("write NAME=URL,FORMAT")
	}
	t := &other{name: name}
	rest, t.ackOnly = strings.CutSuffix(rest, ",ack")
	comma := strings.LastIndexByte(rest, ',')
	if comma < 0 {
		return nil, errors.New("write NAME=URL,FORMAT, with one of " + formatNames())
	}
	t.format = load.Format(rest[comma+1:])
	if !slices.Contains(load.Formats, t.format) {
		return nil, fmt.Errorf("there is no format %q; write one of %s", t.format, formatNames())
	}
	u, err := url.Parse(rest[:comma])
	if err != nil {
		return nil, err // it says what and where
	}
	if u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("the URL must begin with http:// and a host; TLS would measure itself")
	}
	resolved, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	if err != nil {
		return nil, err // it names the host
	}
	if resolved.IP == nil {
		return nil, errors.New("the URL has no host")
	}
	t.address, t.host, t.path = resolved.String(), u.Host, u.RequestURI()
	return t, nil
}
