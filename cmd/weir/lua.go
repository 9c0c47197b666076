package main

import (
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/lua"
)

func newLuaCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lua",
		Short: "Try a script, run its tests, find its mistakes",
		Long: `Runs a transform script outside of the service, with the limits of the configuration
(transform.timeout, transform.max_memory, or those of --stream), or looks for mistakes
without running it. docs/lua.md is the manual of scripts.`,
		Example: `  weir lua run transform.lua events.ndjson --diff
  weir lua run transform.lua events.ndjson --summary
  weir lua test transform.lua
  weir lua test transform.lua --from-dlq stage=transform
  weir lua lint transform.lua`,
	}
	cmd.AddCommand(newLuaRunCmd(a), newLuaTestCmd(a), newLuaLintCmd(a))
	return cmd
}

// luaOptions are the limits that a script has for events of a stream.
func luaOptions(a *app, cfg *Config, stream string) (lua.Options, error) {
	if _, ok := cfg.Streams[stream]; !ok {
		return lua.Options{}, usageErrorf("--stream %s is not declared; the streams are %s", stream, strings.Join(cfg.StreamNames(), ", "))
	}
	opts := cfg.scriptKey(stream).limits()
	// What the script prints is on level debug.
	opts.Logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return opts, nil
}
