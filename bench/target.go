package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/weirlog/weir/bench/report"
)

// target is a server that can be measured.
type target struct {
	name  string // in the report
	start func(ctx context.Context, l *lab, dir string, c *benchCase) (*server, error)
	setup *weirSetup // of a target that is weir
	slow  int        // further connections that send one byte a second each

	measure     roundFunc // instead of putting the case's load on what start starts; nil: that
	connections int       // instead of the case's; 0: those
}

// roundFunc makes a round. problems are what fails the run; err is why the round could not be carried out.
type roundFunc func(ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error)

var (
	noop       = target{name: "noop", start: startBaseline("noop")}
	bare       = target{name: "bare", start: startBaseline("bare")}
	weir       = weirTarget("weir", weirSetup{})
	weirAway   = weirTarget("weir, sink away", weirSetup{away: true})
	weirFive   = weirTarget("weir, five-line script", weirSetup{script: fiveLines})
	weirScript = weirTarget("weir, ten-line script", weirSetup{script: tenLines})
	weirHeavy  = weirTarget("weir, heavy script", weirSetup{script: heavyLines})
)

func weirTarget(name string, setup weirSetup) target {
	t := target{name: name, start: setup.start, setup: &setup, connections: setup.connections}
	if setup.round != nil {
		t.measure = func(ctx context.Context, l *lab, dir string, c *benchCase) (report.Round, []string, error) {
			return setup.round(setup, ctx, l, dir, c)
		}
	}
	return t
}

// targets are those of a case, each weir followed by the one that it is compared with.
func (o *options) targets(c *benchCase) []target {
	var all []target
	for _, t := range c.targets {
		all = append(all, t)
		if t.setup != nil && o.before != "" {
			before := *t.setup
			before.binary = o.before
			older := weirTarget(report.Before+t.name, before)
			older.slow = t.slow
			all = append(all, older)
		}
	}
	return all
}

// server is a running target.
type server struct {
	address string // of its ingest listener: host:port, or unix:/path
	path    string // to post to
	process *process
	others  []*process // that it needs
	admin   string     // URL; "" when it has none
	env     []string   // of a weir, for commands that are to find it

	// arrived waits until everything acknowledged is where it belongs, and returns when the last of it came. nil:
	// the target keeps nothing. The error says what is missing or doubled.
	arrived func(ctx context.Context, acked int64) (time.Time, error)
	// final is the last check: it ends the target in order and looks whether more came than was acknowledged. May be nil.
	final func(ctx context.Context, acked int64) error
	// delivers says that arrived means delivered.
	delivers bool
}

// close ends everything that was started.
func (s *server) close() {
	if s.process != nil {
		s.process.kill()
	}
	for _, p := range s.others {
		p.kill()
	}
}

// startPatience bounds a start, stopPatience an orderly end, stallPatience a delivery that makes no progress.
const (
	startPatience = 30 * time.Second
	stopPatience  = 30 * time.Second
	stallPatience = 20 * time.Second
)

// startBaseline returns the start of a server of package baseline.
func startBaseline(kind string) func(context.Context, *lab, string, *benchCase) (*server, error) {
	return func(ctx context.Context, l *lab, dir string, c *benchCase) (*server, error) {
		var where []string
		if c.unix {
			where = []string{"--unix", filepath.Join(dir, kind+".sock")}
		}
		p, address, err := startChild(ctx, l, dir, kind, c.events, where...)
		if err != nil {
			return nil, err
		}
		return &server{address: address, path: "/ingest", process: p}, nil
	}
}

// startChild starts this binary as one of its children, with more flags, and returns where it listens.
func startChild(ctx context.Context, l *lab, dir, kind string, accepted int, flags ...string) (*process, string, error) {
	file := filepath.Join(dir, kind+".address")
	args := append([]string{"child", kind, "--address-file", file, "--dir", dir, "--accepted", fmt.Sprint(accepted)}, flags...)
	p, err := startProcess(ctx, kind, dir, l.childEnv, l.self, args...)
	if err != nil {
		return nil, "", err
	}
	var address []byte
	err = p.await(ctx, startPatience, func() bool {
		var err error
		address, err = os.ReadFile(file)
		return err == nil
	})
	if err != nil {
		p.kill()
		return nil, "", err
	}
	return p, string(address), nil
}

// freeAddress returns an address of the loopback on which nobody listens. Somebody else may take it before
// the child does; then the child says so and the run fails.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}
