package transform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weirlog/weir/bench/report"
	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// Way is a way to transform events.
type Way struct {
	Name string // in the report, and for ByName
	Help string
	// open makes the transformer that runs script; dir is a directory for files that it needs.
	open func(dir string, script []byte) (flush.Transformer, error)
}

// Names of the ways.
const (
	None     = "none"
	Plain    = report.PlainWay
	GoJSON   = "Go, encoding/json"
	GoBytes  = "Go, by hand"
	WeirsLua = "weir's Lua"
)

// ways are all that there are. Those in Go know the contract's script only, and do what it does.
var ways = []Way{
	{None, "no transform: the document is the event", func(string, []byte) (flush.Transformer, error) { return &passThrough{}, nil }},
	{Plain, "encoding/json, tables of gopher-lua, a Lua state without limits, encoding/json", newPlain},
	{GoJSON, "a map by encoding/json, changed, and back", func(string, []byte) (flush.Transformer, error) { return goJSON{}, nil }},
	{GoBytes, "one walk over the event's bytes that writes the document", func(string, []byte) (flush.Transformer, error) { return &goBytes{}, nil }},
	{WeirsLua, "package lua, as flush uses it", newLua},
}

// ByName returns a way.
func ByName(name string) (Way, error) {
	for _, w := range ways {
		if w.Name == name {
			return w, nil
		}
	}
	return Way{}, fmt.Errorf("there is no way named %q", name)
}

// passThrough does what flush does without a transformer. Its document is good until the next one.
type passThrough struct{ doc [1]flush.Document }

func (p *passThrough) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	p.doc[0] = flush.Document{Source: rec.Payload}
	return p.doc[:], nil
}

func (*passThrough) Version() string { return None }

func newLua(dir string, script []byte) (flush.Transformer, error) {
	path := filepath.Join(dir, "script.lua")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		return nil, fmt.Errorf("write script: %w", err)
	}
	return lua.New(lua.Options{Script: path})
}
