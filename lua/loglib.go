package lua

import (
	"context"
	"log/slog"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/time/rate"

	"github.com/weirlog/weir/lua/stdlib"
)

const (
	maxLogLines     = 16   // of one event
	logRate         = 10   // lines a second of one version of a script, all its workers together
	maxLogText      = 1024 // bytes of a line's text
	maxLogFields    = 16   // of a line
	maxLogFieldName = 64   // bytes of a field's name
	maxLogValue     = 256  // bytes of a field's value
)

// scriptLog bounds what the workers of one program write to weir's log.
type scriptLog struct {
	limiter *rate.Limiter
	leftOut atomic.Int64 // lines since the last one that was written
}

func newScriptLog() *scriptLog { return &scriptLog{limiter: rate.NewLimiter(logRate, logRate)} }

// openLog registers log.
func (w *worker) openLog() {
	write := func(level slog.Level) glua.LGFunction {
		return func(L *glua.LState) int { return w.log(L, level) }
	}
	w.library("log", map[string]glua.LGFunction{"info": write(slog.LevelInfo), "warn": write(slog.LevelWarn)}, nil)
}

// log writes a line at once: of an event that fails later, too. Arguments are checked whether or not the line is written.
func (w *worker) log(L *glua.LState, level slog.Level) int {
	w.step(L, 16)
	text := w.stringOf(L, L.CheckAny(1))
	if L.Get(2) != glua.LNil {
		L.CheckTable(2)
	}
	if !w.opts.Logger.Enabled(context.Background(), level) {
		return 0
	}
	w.lines++
	if w.lines > maxLogLines || !w.prog.log.limiter.Allow() {
		w.prog.log.leftOut.Add(1)
		return 0
	}
	w.step(L, 256) // formatting and a write
	w.charge(L, 4096)
	attrs := []slog.Attr{slog.String("component", "lua"), slog.String("script", w.scriptName()), slog.String("version", w.prog.version)}
	if rec := w.meta.rec; rec != nil {
		attrs = append(attrs, slog.String("stream", rec.Stream), slog.Uint64("offset", uint64(rec.Offset)))
	}
	attrs = append(attrs, slog.String("text", stdlib.Shorten(text, maxLogText)))
	if L.Get(2) != glua.LNil {
		// In a group of their own: a script's field named level or component is not weir's.
		attrs = append(attrs, slog.Attr{Key: "fields", Value: slog.GroupValue(w.logFields(L, L.Get(2).(*glua.LTable))...)})
	}
	if n := w.prog.log.leftOut.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("left_out", n))
	}
	w.opts.Logger.LogAttrs(context.Background(), level, "script logs", attrs...)
	return 0
}

// logFields reads the first fields of a table.
func (w *worker) logFields(L *glua.LState, t *glua.LTable) []slog.Attr {
	fields := make([]slog.Attr, 0, maxLogFields)
	w.eachField(L, t, func(key, value glua.LValue) {
		if len(fields) == maxLogFields {
			return
		}
		name, ok := w.asText(key)
		if !ok {
			L.RaiseError("the names of a line's fields must be strings, not a %s", kindOf(key, w))
		}
		fields = append(fields, slog.Attr{Key: stdlib.Shorten(name, maxLogFieldName), Value: w.logValue(L, value)})
	})
	return fields
}

// logValue is a value of a field; tables are JSON.
func (w *worker) logValue(L *glua.LState, v glua.LValue) slog.Value {
	switch v := v.(type) {
	case glua.LBool:
		return slog.BoolValue(bool(v))
	case glua.LNumber:
		if i := int64(v); glua.LNumber(i) == v && i < maxExact && i > -maxExact {
			return slog.Int64Value(i)
		}
		return slog.Float64Value(float64(v))
	case *glua.LTable:
		w.pass++
		out, err := w.encodeValue(w.scratch[:0], v, 1)
		if err == errOverrun {
			w.raiseOverrun(L)
		}
		w.scratch = out
		if err == nil {
			w.charge(L, len(out))
			return slog.StringValue(stdlib.Shorten(string(out), maxLogValue))
		}
	}
	return slog.StringValue(stdlib.Shorten(w.stringOf(L, v), maxLogValue))
}
