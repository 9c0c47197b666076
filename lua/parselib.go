package lua

import (
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// keyValues is kv(text [, options]).
func (w *worker) keyValues(L *glua.LState) int {
	text := w.argText(L, 1)
	options := w.options(L, 2, "pairs", "values", "prefix", "keys")
	pairs, err := stdlib.NewPairs(text, w.optionText(L, options, "pairs", ""), w.optionText(L, options, "values", "="), w.spend)
	if err != nil {
		L.ArgError(2, err.Error())
	}
	prefix := w.optionText(L, options, "prefix", "")
	var wanted []string
	keys := w.option(L, options, "keys")
	if keys != glua.LNil {
		wanted = w.textList(L, keys, "the option keys", maxTexts)
	}
	result := w.plainTable(L, 0)
	for {
		name, value, ok := pairs.Next()
		if !ok {
			break
		}
		w.step(L, 1+len(value)>>6+len(wanted)>>4)
		if keys != glua.LNil && !slices.Contains(wanted, name) {
			continue
		}
		w.text(L, len(prefix)+len(name)+len(value))
		w.setField(L, result, prefix+name, glua.LString(value))
	}
	w.stopped(L)
	L.Push(result)
	return 1
}

// csv is csv(text [, options]).
func (w *worker) csv(L *glua.LState) int {
	text := w.argText(L, 1)
	options := w.options(L, 2, "columns", "separator")
	separator, err := stdlib.Separator(w.optionText(L, options, "separator", ","))
	if err != nil {
		L.ArgError(2, err.Error())
	}
	columns := w.option(L, options, "columns")
	var names []string
	if columns != glua.LNil {
		names = w.textList(L, columns, "the option columns", maxTexts)
	}
	w.step(L, 1+len(text)>>6)
	w.charge(L, stdlib.RecordCost(text, separator))
	fields, err := stdlib.CSVRecord(text, separator, w.spend)
	w.stopped(L)
	switch {
	case err != nil:
		return w.unfit(L, "%s", err.Error())
	case columns == glua.LNil:
		L.Push(w.recordList(L, fields))
	case len(fields) > len(names):
		return w.unfit(L, "the record has %d fields for %d columns", len(fields), len(names))
	default:
		L.Push(w.recordByName(L, fields, names))
	}
	return 1
}

func (w *worker) recordList(L *glua.LState, fields []string) *glua.LTable {
	w.charge(L, bytesTable)
	list := L.CreateTable(len(fields), 0)
	for i, f := range fields {
		w.text(L, 0)
		w.step(L, 1)
		w.rawSet(L, list, glua.LNumber(i+1), glua.LString(f))
	}
	return list
}

func (w *worker) recordByName(L *glua.LState, fields, names []string) *glua.LTable {
	record := w.plainTable(L, len(fields))
	for i, f := range fields {
		w.setText(L, record, names[i], f)
	}
	return record
}
