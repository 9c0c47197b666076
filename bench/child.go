package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/valyala/fasthttp"

	"github.com/weirlog/weir/bench/baseline"
	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// child is a server that this binary runs in a process of its own.
type child struct {
	addressFile string // where it says where it listens
	dir         string // for its data
	accepted    int    // events that it says each request had
	unix        string // socket to listen on; "": a free port
	bulk        string // address for bulk requests, beside the one that the parent is told
	pace        int    // documents that a sink takes a second; 0: as many as come
}

// newChildCommand is the hidden command of the child processes.
func newChildCommand() *cobra.Command {
	var c child
	cmd := &cobra.Command{
		Use:       "child {noop|bare|sink|sink-ids|counter}",
		Hidden:    true,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"noop", "bare", "sink", sinkIDs, "counter"},
		RunE:      func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&c.addressFile, "address-file", "", "file for the address")
	cmd.Flags().StringVar(&c.dir, "dir", "", "data directory")
	cmd.Flags().IntVar(&c.accepted, "accepted", 1, "events of each request")
	cmd.Flags().StringVar(&c.unix, "unix", "", "listen on this socket")
	cmd.Flags().StringVar(&c.bulk, "bulk", "", "take bulk requests on this address")
	cmd.Flags().IntVar(&c.pace, "pace", 0, "documents that a sink takes a second")
	cmd.AddCommand(newTransformChild(), newLoopChild())
	return cmd
}

// run serves until ctx ends or the parent kills it.
func (c *child) run(ctx context.Context, kind string) error {
	answer := load.Accepted(c.accepted)
	switch kind {
	case "sink":
		return c.sink(ctx, elastictest.KeepNothing)
	case sinkIDs:
		return c.sink(ctx, elastictest.KeepIDs)
	case "counter":
		return c.counter(ctx)
	case "noop":
		return c.serve(ctx, baseline.NewServer(baseline.Noop(answer)))
	}
	log, err := baseline.OpenBare(filepath.Join(c.dir, "bare.log"))
	if err != nil {
		return err
	}
	return errors.Join(c.serve(ctx, baseline.NewServer(log.Handler(answer))), log.Close())
}

// sinkIDs is the sink that remembers ids, so that a document which comes twice is a conflict.
const sinkIDs = "sink-ids"

// sink is an Elasticsearch that counts.
func (c *child) sink(ctx context.Context, keep elastictest.Keep) error {
	ln, err := c.listen()
	if err != nil {
		return err
	}
	s := elastictest.NewServer(elastictest.Options{Keep: keep})
	if c.pace > 0 {
		s.SetRequest(paced(c.pace))
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	return s.Serve(ln)
}

// unixAddress is the address of a socket for the load generator.
func unixAddress(path string) string { return "unix:" + path }

// paced makes requests wait for their turn, as those to a server do that has something to do for each document.
func paced(documents int) func(elastictest.Request) elastictest.Fault {
	var mu sync.Mutex
	var free time.Time // guarded by mu; when all requests so far are through
	return func(r elastictest.Request) elastictest.Fault {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if free.Before(now) {
			free = now // no turns are saved up
		}
		free = free.Add(time.Duration(r.Documents) * time.Second / time.Duration(documents))
		return elastictest.Fault{Delay: free.Sub(now)}
	}
}

// serve runs a server until ctx ends.
func (c *child) serve(ctx context.Context, s *fasthttp.Server) error {
	ln, err := c.listen()
	if err != nil {
		return err
	}
	shutdown := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { shutdown <- s.Shutdown() })
	err = s.Serve(ln)
	if !stop() {
		err = errors.Join(err, <-shutdown)
	}
	return err
}

// listen binds a free port, or the socket, and tells the parent which.
func (c *child) listen() (net.Listener, error) {
	network, address, told := "tcp", "127.0.0.1:0", ""
	if c.unix != "" {
		network, address, told = "unix", c.unix, unixAddress(c.unix)
	}
	ln, err := net.Listen(network, address)
	switch {
	case err != nil && c.unix != "":
		return nil, fmt.Errorf("listen: %w; a socket's path has at most 107 bytes: is --dir short enough?", err)
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	if told == "" {
		told = ln.Addr().String()
	}
	// Renamed into place, so that whoever sees the file sees all of it.
	temporary := c.addressFile + ".new"
	err = os.WriteFile(temporary, []byte(told), 0o600)
	if err == nil {
		err = os.Rename(temporary, c.addressFile)
	}
	if err != nil {
		return nil, fmt.Errorf("write address: %w", errors.Join(err, ln.Close()))
	}
	return ln, nil
}
