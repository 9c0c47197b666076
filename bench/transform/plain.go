package transform

import (
	"context"
	"encoding/json"
	"fmt"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// plain is what weir does not do: it decodes everything into tables, runs the script on a Lua state without
// limits, and encodes everything. It loses what a float64 and a table cannot hold: large integers, spellings, [] and {}.
type plain struct {
	state     *glua.LState
	transform glua.LValue
}

func newPlain(_ string, script []byte) (flush.Transformer, error) {
	p := &plain{state: glua.NewState()}
	if err := p.state.DoString(string(script)); err != nil {
		return nil, fmt.Errorf("run script: %w", err)
	}
	p.transform = p.state.GetGlobal("transform")
	return p, nil
}

func (p *plain) Version() string { return Plain }

func (p *plain) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	var event map[string]any
	if err := json.Unmarshal(rec.Payload, &event); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	meta := p.state.NewTable()
	meta.RawSetString("stream", glua.LString(rec.Stream))
	call := glua.P{Fn: p.transform, NRet: 1, Protect: true}
	if err := p.state.CallByParam(call, p.table(event), meta); err != nil {
		return nil, err
	}
	result := p.state.Get(-1)
	p.state.Pop(1)
	if result == glua.LNil {
		return nil, nil
	}
	source, err := json.Marshal(goValue(result))
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	index, _ := meta.RawGetString("index").(glua.LString)
	return []flush.Document{{Source: source, Index: string(index)}}, nil
}

// table makes the Lua value of a decoded one.
func (p *plain) table(v any) glua.LValue {
	switch v := v.(type) {
	case map[string]any:
		t := p.state.CreateTable(0, len(v))
		for k, x := range v {
			t.RawSetString(k, p.table(x))
		}
		return t
	case []any:
		t := p.state.CreateTable(len(v), 0)
		for _, x := range v {
			t.Append(p.table(x))
		}
		return t
	case string:
		return glua.LString(v)
	case float64:
		return glua.LNumber(v)
	case bool:
		return glua.LBool(v)
	}
	return null
}

// null stands for null in the tables of plain, where nil would remove the field.
var null = &glua.LUserData{}

// goValue is the inverse of table. A table with a first element is a list.
func goValue(v glua.LValue) any {
	switch v := v.(type) {
	case *glua.LTable:
		if n := v.Len(); n > 0 {
			list := make([]any, n)
			for i := range list {
				list[i] = goValue(v.RawGetInt(i + 1))
			}
			return list
		}
		object := map[string]any{}
		v.ForEach(func(k, x glua.LValue) { object[k.String()] = goValue(x) })
		return object
	case glua.LString:
		return string(v)
	case glua.LNumber:
		return float64(v)
	case glua.LBool:
		return bool(v)
	}
	return nil
}
