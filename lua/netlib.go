package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// urlParse is url.parse(text).
func (w *worker) urlParse(L *glua.LState) int {
	text := w.argText(L, 1)
	w.step(L, 1+len(text)>>6)
	w.charge(L, 3*len(text)+512)
	u, err := stdlib.ParseURL(text)
	if err != nil {
		return w.unfit(L, "%q is no URL: %s", stdlib.Excerpt(text), stdlib.Excerpt(err.Error()))
	}
	parts := w.plainTable(L, 8)
	for _, p := range []struct{ name, value string }{
		{"scheme", u.Scheme}, {"domain", u.Domain}, {"path", u.Path}, {"query", u.Query}, {"fragment", u.Fragment}, {"username", u.Username},
	} {
		if p.value != "" {
			w.setText(L, parts, p.name, p.value)
		}
	}
	if u.Port != 0 {
		w.setField(L, parts, "port", glua.LNumber(u.Port))
	}
	L.Push(parts)
	L.Push(w.parameters(L, u.Query))
	return 2
}

// parameters makes a table of a query; a name that comes more than once has a list.
func (w *worker) parameters(L *glua.LState, query string) *glua.LTable {
	t := w.plainTable(L, 0)
	for {
		name, value, rest, ok := stdlib.NextParameter(query)
		if !ok {
			return t
		}
		w.step(L, 1+(len(query)-len(rest))>>4)
		w.text(L, len(name)+len(value))
		query = rest
		switch before := t.RawGetString(name).(type) {
		case *glua.LTable:
			w.rawSet(L, before, glua.LNumber(before.Len()+1), glua.LString(value))
		case glua.LString:
			w.charge(L, bytesTable+2*bytesArraySlot)
			list := L.CreateTable(2, 0)
			list.RawSetInt(1, before)
			list.RawSetInt(2, glua.LString(value))
			w.setField(L, t, name, list)
		default:
			w.setField(L, t, name, glua.LString(value))
		}
	}
}

// cidrMatch is ip.cidr_match(address, network or list of networks).
func (w *worker) cidrMatch(L *glua.LState) int {
	text := w.argText(L, 1)
	var networks []string
	if _, ok := L.Get(2).(*glua.LTable); ok {
		networks = w.textList(L, L.Get(2), "the list of networks", maxTexts)
	} else {
		networks = []string{w.argText(L, 2)}
	}
	address, err := stdlib.Address(text)
	if err != nil {
		return w.unfit(L, "%s", err.Error())
	}
	within := false
	for _, n := range networks {
		w.step(L, 2)
		network, err := stdlib.Network(n)
		if err != nil {
			L.ArgError(2, err.Error())
		}
		within = within || network.Contains(address)
	}
	L.Push(glua.LBool(within))
	return 1
}
