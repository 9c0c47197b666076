package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
)

// finding is one line of weir check.
type finding struct {
	Subject string `json:"subject"`
	Result  result `json:"result"`
	Message string `json:"message"`
}

// result of a check.
type result string

const (
	resultOK      result = "ok"
	resultWarning result = "warning"
	resultSkipped result = "skipped"
	resultFailed  result = "failed"
)

func newCheckCmd(a *app) *cobra.Command {
	var offline, show bool
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, scripts, destination and data directory",
		Long: `Says everything that is wrong at once: faults of the configuration with file and
line, scripts that do not compile or whose tests fail, an Elasticsearch that does
not answer, a data directory that cannot be used, a stream that left the configuration
before it was drained. What weir lua lint finds in scripts is a warning. Nothing is
changed; a running service is not disturbed.

Of a stopped data directory it also says whether it was damaged, lost its end, or was
last used elsewhere. It looks at weir.db and the last segments only (weir wal verify
proves everything). A start goes on by itself after all of these: they are warnings.

The exit code is 1 when anything has failed, 0 when there are warnings only.

With --print, the configuration in force goes to standard output, secrets masked,
with the origin of each value that is not a default; the findings then go to
standard error.`,
		Example: `  weir check --config /etc/weir/weir.yaml
  weir check --offline
  weir check --print > effective.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := &checker{app: a, offline: offline}
			c.run(cmd.Context(), a.configSources(cmd))
			return c.report(output, show)
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask Elasticsearch")
	cmd.Flags().BoolVar(&show, "print", false, "print the configuration in force")
	configFlag(cmd, "data-dir", "data_dir", "data directory")
	output.addFlag(cmd)
	return cmd
}

// checker collects findings; no check stops another.
type checker struct {
	app      *app
	offline  bool
	cfg      *Config
	faults   []Fault
	findings []finding
}

func (c *checker) add(subject string, r result, format string, args ...any) {
	c.findings = append(c.findings, finding{subject, r, fmt.Sprintf(format, args...)})
}

func (c *checker) run(ctx context.Context, src configSources) {
	c.cfg, c.faults = layerConfig(src)
	c.configuration(src.File)
	c.transforms(ctx)
	c.destinations(ctx)
	c.dataDirectory(ctx)
}

// faulty reports whether a key, or one below it, has a fault; what depends on it is not checked then.
func (c *checker) faulty(key string) bool {
	for _, f := range c.faults {
		if f.Key == key || f.Key == "" || strings.HasPrefix(f.Key, key+".") {
			return true
		}
	}
	return false
}

func (c *checker) configuration(file string) {
	for _, f := range c.faults {
		c.add("configuration", resultFailed, "%s", f)
	}
	if len(c.faults) == 0 {
		c.add("configuration", resultOK, "%s; streams: %s", orElse(file, "no file, defaults and environment"),
			strings.Join(c.cfg.StreamNames(), ", "))
	}
}

// transforms compiles each script, once for each set of limits, and runs its own tests.
func (c *checker) transforms(ctx context.Context) {
	if c.faulty("transform") || c.faulty("streams") {
		c.add("transform", resultSkipped, "the configuration is not valid")
		return
	}
	keys := c.cfg.scriptKeys()
	for i, key := range keys {
		opts, stream := key.limits(), c.cfg.scriptStreams(key)[0]
		opts.Logger = slog.New(slog.DiscardHandler)
		if err := lua.Check(ctx, key.path, opts); err != nil {
			c.add("transform", resultFailed, "%s: %s (stream %s)", c.scriptOrigin(stream), err, stream)
		} else {
			c.add("transform", resultOK, "%s compiles and passes its tests", c.cfg.scriptName(key))
		}
		if i == 0 || keys[i-1].path != key.path {
			c.lint(key.path)
		}
	}
	if len(keys) == 0 {
		c.add("transform", resultOK, "no script: events pass as they are")
	}
}

// maxLintFindings bounds how many findings of a script are shown here.
const maxLintFindings = 10

// lint shows what is probably a mistake in a script. What keeps it from being read or compiled was said before.
func (c *checker) lint(script string) {
	found, err := lua.LintFile(script)
	if err != nil {
		return
	}
	for _, f := range found[:min(len(found), maxLintFindings)] {
		c.add("transform", resultWarning, "%s", f)
	}
	if more := len(found) - maxLintFindings; more > 0 {
		c.add("transform", resultWarning, "%s: and %d more; weir lua lint shows all", script, more)
	}
}

// scriptOrigin says where the script of a stream was named.
func (c *checker) scriptOrigin(stream string) string {
	key := "streams." + stream + ".transform.script"
	if o := c.cfg.origins[key]; o.derived != "" {
		key = o.derived
	}
	return c.cfg.origins[key].String() + ": " + key
}

// requestCause leaves out the words about bulk requests: this was none.
func requestCause(err error) error {
	if request, ok := errors.AsType[*flush.RequestError](err); ok {
		return request.Err
	}
	return err
}

// report prints the findings and returns errReported when one of them is a failure.
func (c *checker) report(output outputFormat, show bool) error {
	w := c.app.stdout
	if show && len(c.faults) == 0 {
		text, err := c.cfg.YAML()
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return fmt.Errorf("print configuration: %w", err)
		}
		w = c.app.stderr
	}
	failed := false
	for _, f := range c.findings {
		failed = failed || f.Result == resultFailed
	}
	if output != outputTable {
		if err := writeList(w, output, c.findings); err != nil {
			return err
		}
	} else {
		for _, f := range c.findings {
			mark := map[result]string{resultOK: colourGreen, resultFailed: colourRed, resultWarning: colourYellow}[f.Result]
			label := fmt.Sprintf("%-8s", f.Result)
			if mark != "" {
				label = c.app.paint(w, mark, label)
			}
			fmt.Fprintf(w, "%s %-14s %s\n", label, f.Subject, printable(f.Message))
		}
	}
	if failed {
		return errReported
	}
	return nil
}
