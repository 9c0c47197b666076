package lua

import (
	"strconv"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// formatEpoch reads numbers of seconds.
var formatEpoch, formatRFC3339 = mustFormat("epoch"), mustFormat("rfc3339")

func mustFormat(name string) *stdlib.TimeFormat {
	f, err := stdlib.CompileTimeFormat(name)
	if err != nil {
		panic(err)
	}
	return f
}

const (
	stepsTime = 8        // the price of reading or writing one time
	bytesZone = 64 << 10 // of a zone that is not there
)

// timeParse is time.parse(text, format [, zone]).
func (w *worker) timeParse(L *glua.LState) int {
	text := w.decimal(L, 1)
	zone := w.zone(L, 3)
	formats, ok := L.Get(2).(*glua.LTable)
	if !ok {
		f := w.readable(L, w.argText(L, 2))
		if m, ok := w.readTime(L, text, f, zone); ok {
			return w.pushMoment(L, m)
		}
		return w.unfit(L, "%q is no time in the format %s", stdlib.Excerpt(text), stdlib.Excerpt(w.argText(L, 2)))
	}
	names := w.textList(L, formats, "the list of formats", maxTexts)
	for _, name := range names {
		if m, ok := w.readTime(L, text, w.readable(L, name), zone); ok {
			return w.pushMoment(L, m)
		}
	}
	return w.unfit(L, "%q is no time in any of the %d formats", stdlib.Excerpt(text), len(names))
}

func (w *worker) readTime(L *glua.LState, text string, f *stdlib.TimeFormat, zone *time.Location) (stdlib.Moment, bool) {
	w.step(L, stepsTime)
	return f.Parse(text, zone)
}

// decimal is an argument that is a text or a number; a number becomes all its digits, without an exponent.
func (w *worker) decimal(L *glua.LState, i int) string {
	if n, ok := L.Get(i).(glua.LNumber); ok {
		w.text(L, 32)
		return strconv.FormatFloat(float64(n), 'f', -1, 64)
	}
	return w.argText(L, i)
}

// pushMoment gives a time as RFC 3339 and as a number.
func (w *worker) pushMoment(L *glua.LState, m stdlib.Moment) int {
	w.scratch = m.AppendRFC3339(w.scratch[:0], time.UTC)
	w.text(L, len(w.scratch))
	L.Push(glua.LString(w.scratch))
	w.charge(L, 8)
	L.Push(glua.LNumber(m.Float()))
	return 2
}

// format returns the compiled form of a format of times; an unknown one is an error.
func (w *worker) format(L *glua.LState, name string) *stdlib.TimeFormat {
	if f, ok := w.prog.compiled.formats.Get(name); ok {
		return f
	}
	w.compiling(L, stdlib.CompileCost(name))
	f, err := stdlib.CompileTimeFormat(name)
	if err != nil {
		L.ArgError(2, err.Error())
	}
	w.prog.compiled.formats.Put(name, f, 1)
	return f
}

// readable is a format that times can be read in.
func (w *worker) readable(L *glua.LState, name string) *stdlib.TimeFormat {
	f := w.format(L, name)
	if err := f.Readable(); err != nil {
		L.ArgError(2, err.Error())
	}
	return f
}

// zone is an optional argument that names a time zone.
func (w *worker) zone(L *glua.LState, i int) *time.Location {
	if L.Get(i) == glua.LNil {
		return time.UTC
	}
	w.step(L, stepsTime)
	zone, err := stdlib.Zone(w.argText(L, i))
	if err != nil {
		w.charge(L, bytesZone) // it was looked for in several places
		w.step(L, window)
		L.ArgError(i, err.Error())
	}
	return zone
}

// timeFormat is time.format(t, format [, zone]).
func (w *worker) timeFormat(L *glua.LState) int {
	text, reader := w.decimal(L, 1), formatEpoch
	if _, ok := L.Get(1).(glua.LString); ok {
		reader = formatRFC3339
	}
	f := w.format(L, w.argText(L, 2))
	zone := w.zone(L, 3)
	m, ok := w.readTime(L, text, reader, time.UTC)
	if !ok {
		return w.unfit(L, "%q is no time; it takes a number of seconds or RFC 3339", stdlib.Excerpt(text))
	}
	if !f.Writable(m, zone) {
		return w.unfit(L, "%q is beyond the years 0000 to 9999 there", stdlib.Excerpt(text))
	}
	w.step(L, stepsTime+f.MaxText()>>6)
	w.charge(L, f.MaxText())
	w.scratch = f.Append(w.scratch[:0], m, zone)
	switch places, epoch := f.Epoch(); {
	case !epoch:
		w.text(L, len(w.scratch))
		L.Push(glua.LString(w.scratch))
	case places == 0:
		w.charge(L, 8)
		L.Push(glua.LNumber(m.Float()))
	default: // nanoseconds do not fit a float64
		L.Push(w.number(append([]byte(nil), w.scratch...)))
	}
	return 1
}
