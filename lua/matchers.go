package lua

import glua "github.com/yuin/gopher-lua"

// keptMatchers is how many matchers wait to be used again: as many as calls of pattern functions are nested.
const keptMatchers = 4

// matcher returns a matcher of the second argument, a pattern of Lua, in the first.
func (w *worker) matcher(L *glua.LState) *matcher {
	m := w.bareMatcher(L)
	m.hint = w.hintFor(m)
	return m
}

// bareMatcher is a matcher for captures that somebody else finds, with a pattern of another kind.
func (w *worker) bareMatcher(L *glua.LState) *matcher {
	w.charge(L, bytesMatcher) // also for one that is used again: what an event pays does not depend on those before it
	src, pat := w.argText(L, 1), w.argText(L, 2)
	var m *matcher
	if last := len(w.matchers) - 1; last >= 0 {
		m, w.matchers = w.matchers[last], w.matchers[:last]
	} else {
		m = &matcher{w: w}
	}
	m.L, m.src, m.pat, m.needAt = L, src, pat, -1
	return m
}

// done gives the matcher back.
func (m *matcher) done() {
	m.L, m.src, m.pat, m.hint, m.n, m.deep = nil, "", "", nil, 0, 0
	if len(m.w.matchers) < keptMatchers {
		m.w.matchers = append(m.w.matchers, m)
	}
}
