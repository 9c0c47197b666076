// Command weir takes events over HTTP, makes them durable, answers, and delivers them to
// Elasticsearch. This is the one package that knows the whole system: it reads the configuration,
// builds the components and runs them, and holds the commands of operators.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// commands is the command table: one constructor a line, in the order of the help.
var commands = []func(*app) *cobra.Command{
	newCheckCmd,
	newServeCmd,
	newSetupCmd,
	newSendCmd,
	newSearchCmd,
	newStatusCmd,
	newDLQCmd,
	newWALCmd,
	newLuaCmd,
	newVersionCmd,
}

func main() {
	ctx, stop := signalContext()
	code := newApp().run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// signalContext ends with the first SIGINT or SIGTERM, so that a command can finish what it has in
// hand. A second signal ends the process at once; nothing acknowledged depends on an orderly end.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(fmt.Errorf("%w: %s", errInterrupted, <-signals))
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, func() { cancel(nil) }
}

// errInterrupted is the cause of the context that a signal ended.
var errInterrupted = errors.New("interrupted")
