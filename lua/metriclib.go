package lua

import (
	"math"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

const (
	maxMetricName   = 64   // bytes of the name of a metric, and of a label
	maxMetricLabels = 8    // in one call
	maxLabelValue   = 128  // bytes
	maxKnownSeries  = 1024 // of a worker
	bytesSeries     = 1024 // of one that a worker meets for the first time
	bytesCount      = 32
)

// label is a label of a series, with a value that is not empty.
type label struct{ name, value string }

// series is what metric.inc counts: a name with labels.
type series struct {
	key     string
	name    string
	labels  []label
	counter counter // nil until it was counted for the first time
	refused bool
}

// count is what an event adds to a series once it has ended well.
type count struct {
	series *series
	n      float64
}

// counts are a worker's: what the event at hand has counted, and the series that it has met.
type counts struct {
	pending []count
	known   map[string]*series
	key     []byte
}

// openMetric registers metric.
func (w *worker) openMetric() {
	w.library("metric", map[string]glua.LGFunction{"inc": w.metricInc}, nil)
}

// metricInc is metric.inc(name [, labels [, n]]).
func (w *worker) metricInc(L *glua.LState) int {
	if w.loading {
		L.RaiseError("metric.inc is for events; nothing is counted while the script is loaded")
	}
	w.step(L, 8)
	name := L.CheckString(1)
	var room [maxMetricLabels]label
	labels := room[:0]
	if L.Get(2) != glua.LNil {
		labels = w.metricLabels(L, L.CheckTable(2), labels)
	}
	n := 1.0
	if L.Get(3) != glua.LNil {
		n = float64(L.CheckNumber(3))
		if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			L.ArgError(3, "a counter can only grow: a number of 0 or more is wanted")
		}
	}
	s := w.seriesOf(L, name, labels)
	c := &w.counts
	if last := len(c.pending) - 1; last >= 0 && c.pending[last].series == s {
		c.pending[last].n += n
		return 0
	}
	w.charge(L, bytesCount)
	c.pending = append(c.pending, count{s, n})
	return 0
}

// metricLabels reads labels into room, sorted by name. What has no value is left out, which means the same.
func (w *worker) metricLabels(L *glua.LState, t *glua.LTable, room []label) []label {
	w.eachField(L, t, func(key, value glua.LValue) {
		name, ok := key.(glua.LString)
		if !ok {
			L.RaiseError("metric.inc: the names of labels must be strings, not a %s", kindOf(key, w))
		}
		text, ok := w.asText(value)
		if b, isBool := value.(glua.LBool); isBool {
			text, ok = b.String(), true
		}
		if !ok && value != glua.LValue(w.null) {
			L.RaiseError("metric.inc: label %s must be a text, a number or a boolean, not a %s", short(key), kindOf(value, w))
		}
		if text, _ = stdlib.Cut(text, maxLabelValue); text == "" {
			return
		}
		if len(room) == maxMetricLabels {
			L.RaiseError("metric.inc: a metric has at most %d labels", maxMetricLabels)
		}
		at := len(room)
		room = append(room, label{})
		for ; at > 0 && room[at-1].name > string(name); at-- {
			room[at] = room[at-1]
		}
		room[at] = label{string(name), text}
	})
	return room
}

// seriesOf finds a series by what it is made of, or checks the names and makes it.
func (w *worker) seriesOf(L *glua.LState, name string, labels []label) *series {
	c := &w.counts
	if len(name) > maxMetricName {
		checkMetricName(L, name)
	}
	c.key = append(c.key[:0], name...)
	for _, l := range labels {
		// No UTF-8 has these bytes, and no name of a label that is accepted.
		c.key = append(append(append(append(c.key, 0xff), l.name...), 0xfe), l.value...)
	}
	if s := c.known[string(c.key)]; s != nil {
		return s
	}
	checkMetricName(L, name)
	for _, l := range labels {
		checkLabelName(L, l.name)
	}
	w.charge(L, bytesSeries+2*len(c.key))
	if len(c.known) >= maxKnownSeries || c.known == nil {
		c.known = map[string]*series{}
	}
	s := &series{key: string(c.key), name: strings.Clone(name), labels: make([]label, len(labels))}
	for i, l := range labels { // they may be pieces of large texts
		s.labels[i] = label{strings.Clone(l.name), strings.Clone(l.value)}
	}
	c.known[s.key] = s
	return s
}

// scriptName tells the script from others, in metrics and in the log.
func (w *worker) scriptName() string {
	if w.opts.Name != "" {
		return w.opts.Name
	}
	return w.prog.name
}

// commitCounts counts what the event has counted, which has ended well.
func (w *worker) commitCounts() {
	c := &w.counts
	for i := range c.pending {
		w.opts.Metrics.count(w.scriptName(), c.pending[i])
	}
	w.dropCounts()
}

// dropCounts forgets what an event has counted.
func (w *worker) dropCounts() {
	c := &w.counts
	if c.pending = c.pending[:0]; cap(c.pending) > 1024 {
		c.pending = nil
	}
}

func checkMetricName(L *glua.LState, name string) {
	if !validMetricName(name) {
		L.ArgError(1, "the name of a metric has lower-case letters, digits and _, a letter first, and at most 64 bytes; weir puts weir_script_ before it and _total behind it")
	}
	if strings.HasSuffix(name, "_total") {
		L.ArgError(1, "leave _total out: weir puts it behind the name")
	}
}

func checkLabelName(L *glua.LState, name string) {
	if name == "script" {
		L.ArgError(2, "the label script is weir's own: it names the script")
	}
	if !validMetricName(name) {
		L.ArgError(2, "the name of a label has lower-case letters, digits and _, a letter first, and at most 64 bytes: not "+short(glua.LString(name)))
	}
}

func validMetricName(s string) bool {
	if s == "" || len(s) > maxMetricName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && !isDigit(c) && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
