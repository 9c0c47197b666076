package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what a command needs of the process around it. Tests make one of buffers.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	now     func() time.Time
	// width returns how many columns the terminal behind a writer has; 0 when there is no terminal.
	width func(w io.Writer) int

	configFile string // --config; "" asks WEIR_CONFIG
	started    bool   // a command has begun; before that, every error is wrong use
}

func newApp() *app {
	return &app{
		stdin:   os.Stdin,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		environ: os.Environ(),
		now:     time.Now,
		width:   terminalWidth,
	}
}

func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// isTerminal reports whether somebody reads w as it is written.
func (a *app) isTerminal(w io.Writer) bool { return a.width(w) > 0 }

// getenv looks a variable up in the environment that the app was made with.
func (a *app) getenv(name string) string {
	for _, entry := range a.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// run executes one command line and returns the exit code. Errors are printed here, once.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCmd()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := a.exitCode(err)
	if !errors.Is(err, errReported) {
		fmt.Fprintln(a.stderr, "weir: "+printableLines(err.Error()))
		if code == exitUsage {
			fmt.Fprintf(a.stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		}
	}
	return code
}

func (a *app) exitCode(err error) int {
	if config, ok := errors.AsType[*ConfigError](err); ok {
		if config.flagsOnly() {
			return exitUsage
		}
		return exitFailed
	}
	if _, ok := errors.AsType[*usageError](err); ok || !a.started {
		return exitUsage
	}
	return exitFailed
}

// errReported is returned by a command that has said itself, in its output, what went wrong.
var errReported = errors.New("failed")

// usageError marks a command line that makes no sense: exit code 2.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Takes events over HTTP, makes them durable, delivers them to Elasticsearch",
		Long: `weir takes events over HTTP, has them on disk before it answers, and delivers them
to Elasticsearch; what cannot be delivered is a dead letter that a command shows,
edits and replays.

Every key of the configuration can be set in a YAML file (--config or WEIR_CONFIG)
and as an environment variable, for example WEIR_WAL_MAX_BYTES=20GiB. Without
either, defaults hold.

Exit codes: 0 done; 1 failed, an invalid configuration included; 2 wrong use of
the command line.`,
		Example: `  weir serve
  weir check --config /etc/weir/weir.yaml
  zcat events.ndjson.gz | weir send -`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration `FILE` (default: WEIR_CONFIG, else none)")
	for _, construct := range commands {
		root.AddCommand(construct(a))
	}
	a.prepare(root)
	return root
}

// prepare gives a command and those below it what all have in common: a note that it began, and an
// error instead of help for an unknown sub-command.
func (a *app) prepare(cmd *cobra.Command) {
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		}
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.prepare(sub)
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	message := fmt.Sprintf("unknown command %q for %s", name, cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		message += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usageErrorf("%s", message)
}

// configFlagKey is the annotation that ties a flag to the key of the configuration that it sets.
const configFlagKey = "weir_config_key"

// configFlag adds a flag that sets a key of the configuration, above file and environment.
func configFlag(cmd *cobra.Command, name, key, usage string) {
	if _, ok := keyTypes[key]; !ok {
		panic("config: flag for unknown key " + key)
	}
	cmd.Flags().String(name, "", usage+" (`"+strings.ToUpper(lastPart(key))+"`, sets "+key+")")
	cmd.Flags().Lookup(name).Annotations = map[string][]string{configFlagKey: {key}}
}

// configPath returns the configuration file in use, "" for none.
func (a *app) configPath() string {
	if a.configFile != "" {
		return a.configFile
	}
	return a.getenv("WEIR_CONFIG")
}

// loadConfig reads the configuration that holds for cmd. Calling it again reads the file again.
func (a *app) loadConfig(cmd *cobra.Command) (*Config, error) {
	return LoadConfig(a.configSources(cmd))
}

func (a *app) configSources(cmd *cobra.Command) configSources {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if key, ok := f.Annotations[configFlagKey]; ok {
			flags[key[0]] = flagValue(f.Name, f.Value.String())
		}
	})
	return configSources{File: a.configPath(), Environ: a.environ, Flags: flags}
}
