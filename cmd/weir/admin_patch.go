package main

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// maxPatchBytes bounds the text of a patch: it is a few lines, written for one replay.
const maxPatchBytes = 64 << 10

// patchScript is a script that travels with the request for one replay. A replay uses it from one goroutine.
type patchScript struct{ script *lua.Script }

var _ flush.Transformer = patchScript{}

func (p patchScript) Version() string { return p.script.Version() }

func (p patchScript) Transform(ctx context.Context, rec *wal.Record) ([]flush.Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	docs, _, err := p.script.Transform(rec)
	return docs, err
}

// compilePatch compiles and tests a patch in the limits of the configured transform. Its errors name the line.
func (a *admin) compilePatch(ctx context.Context, name, source string) (flush.Transformer, error) {
	refuse := func(format string, args ...any) error {
		return apiErrorf(http.StatusBadRequest, "bad_patch", "the patch is refused: "+format, args...)
	}
	if len(source) > maxPatchBytes {
		return nil, refuse("it has %d bytes, at most %d are taken", len(source), maxPatchBytes)
	}
	if name = filepath.Base(name); name == "." || name == string(filepath.Separator) {
		name = "patch.lua"
	}
	script, err := lua.Compile(name, []byte(source), lua.Options{
		Timeout: a.cfg.Transform.Timeout.Std(), MaxMemory: int64(a.cfg.Transform.MaxMemory), Logger: a.logger,
	})
	if err != nil {
		return nil, refuse("%s", err)
	}
	if err := script.SelfTest(ctx); err != nil {
		return nil, refuse("%s", err)
	}
	return patchScript{script}, nil
}
