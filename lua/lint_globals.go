package lua

import "fmt"

// judgeReads looks for globals that nobody defines.
func (l *linter) judgeReads() {
	asked := map[string]bool{}
	for _, r := range l.reads {
		asked[r.name] = asked[r.name] || r.tested
	}
	for _, r := range l.reads {
		if l.wide || l.known.has(r.name) || l.defined[r.name] {
			continue
		}
		remark, resembles := l.remark(r)
		if asked[r.name] && !resembles {
			continue // the script knows that it may be missing
		}
		name := r.name
		if r.member != "" && adviceOf(r.name+"."+r.member) != "" {
			name += "." + r.member
		}
		l.found(r.line, ruleUnknown, "there is no %s here%s", name, remark)
	}
}

// remark is what can be said about a global that is not there. resembles says that it looks like a mistake
// for a name that is.
func (l *linter) remark(r *globalRead) (text string, resembles bool) {
	if r.name == stateName {
		return "; declare it outside of any function: state = { }", true
	}
	if b := l.invisible(r.name, r.line); b != nil {
		b.reads++
		if b.line > r.line && b.fn.main {
			return fmt.Sprintf("; the %s is declared only in line %d: move that in front of this", b, b.line), true
		}
		return fmt.Sprintf("; the %s of line %d is not visible here: pass it on, or declare it in front of both", b, b.line), true
	}
	for _, key := range []string{r.name + "." + r.member, r.name} {
		if a := adviceOf(key); a != "" {
			return ": " + a, false
		}
	}
	if near := l.nearGlobal(r.name, r.env); near != "" {
		return "; did you mean " + near + "?", true
	}
	return "", false
}

// invisible is a local of this name that the place cannot see: one of the main chunk that comes later, or else
// the one that was declared last before it, or else any.
func (l *linter) invisible(name string, line int) *binding {
	if l.byName == nil {
		l.byName = map[string][]*binding{}
		for _, b := range l.bindings {
			l.byName[b.name] = append(l.byName[b.name], b)
		}
	}
	var found *binding
	for _, b := range l.byName[name] {
		if b.line > line && b.fn.main {
			return b
		}
		if found == nil || b.line <= line {
			found = b
		}
	}
	return found
}

// judgeWrites looks for globals that functions assign. A test may replace what the script defines: it is put
// back when the test ends. The global _ is nobody's.
func (l *linter) judgeWrites() {
	atLoad := map[string]bool{}
	for _, w := range l.writes {
		atLoad[w.name] = atLoad[w.name] || w.fn.main
	}
	for _, w := range l.writes {
		if w.fn.main || w.fn.test && atLoad[w.name] || w.name == "_" {
			continue
		}
		l.found(w.line, ruleGlobal, "%s", l.writeMessage(w, atLoad[w.name]))
	}
}

func (l *linter) writeMessage(w *globalWrite, atLoad bool) string {
	switch {
	case w.name == stateName:
		return "state is declared outside of any function; in a function assign to its fields: state.name = value"
	case l.known.has(w.name):
		return fmt.Sprintf("this replaces weir's own %s until the event ends; write local %s", w.name, w.name)
	case atLoad:
		return fmt.Sprintf("the global %s has its old value again when the event ends; write local %s, or keep it as state.%s", w.name, w.name, w.name)
	}
	text := fmt.Sprintf("the global %s is gone when the event ends; write local %s, or keep it as state.%s", w.name, w.name, w.name)
	if near := l.nearGlobal(w.name, w.env); near != "" {
		text += "; or did you mean " + near + "?"
	}
	return text
}

func (l *linter) writeGlobal(name string, line int) {
	l.defined[name] = true
	l.writes = append(l.writes, &globalWrite{name: name, line: line, env: l.env, fn: l.fn})
}
