package lua

import (
	"maps"
	"slices"
)

// judgeMembers looks for members of libraries that are not there, and for assignments to those that are.
func (l *linter) judgeMembers() {
	asked := map[string]bool{}
	for _, m := range l.members {
		asked[m.owner+"."+m.member] = asked[m.owner+"."+m.member] || m.tested
	}
	for _, m := range l.members {
		library := l.libraryOfUse(m)
		if library == "" {
			continue
		}
		if m.written {
			l.found(m.line, ruleGlobal, "the library %s cannot be changed; make %s a local function", library, m.member)
			continue
		}
		if !l.known.members(library)[m.member] && !asked[m.owner+"."+m.member] {
			l.found(m.line, ruleUnknown, "%s has no %s%s", library, m.member, l.memberRemark(library, m.member))
		}
	}
}

// libraryOfUse is the library whose member is meant, "" for other tables.
func (l *linter) libraryOfUse(m *memberUse) string {
	if m.local != nil {
		if m.local.writes > 0 {
			return ""
		}
		return m.local.library
	}
	if l.defined[m.owner] || l.wide || !l.known.isLibrary(m.owner) {
		return ""
	}
	return m.owner
}

func (l *linter) memberRemark(library, member string) string {
	if a := adviceOf(library + "." + member); a != "" {
		return ": " + a
	}
	if near := nearest(member, slices.Sorted(maps.Keys(l.known.members(library)))); near != "" {
		return "; did you mean " + library + "." + near + "?"
	}
	if other := l.known.elsewhere(member); other != "" {
		return "; did you mean " + other + "." + member + "?"
	}
	return ""
}

// judgeMethods looks for methods that no value can have: not those of strings, and a name that the script
// gives to no field.
func (l *linter) judgeMethods() {
	for _, c := range l.methods {
		if c.library != "" && !l.defined[c.library] && l.known.isLibrary(c.library) {
			l.found(c.line, ruleUnknown, "%s:%s passes the library itself as the first argument; write %s.%s", c.library, c.name, c.library, c.name)
			continue
		}
		if l.known.members(stringName)[c.name] {
			continue
		}
		if !c.text && (l.constants[c.name] || l.metatables || l.wide || l.known.anyHas(c.name)) {
			continue
		}
		remark := l.memberRemark(stringName, c.name)
		l.found(c.line, ruleUnknown, "nothing here has a method %s%s", c.name, remark)
	}
}

// judgeLocalCalls looks for calls that were meant for a function of weir, and reach a local of its name.
func (l *linter) judgeLocalCalls() {
	for _, c := range l.calls {
		b := c.local
		own := b.kind == kindLocal && c.member != "" && b.library == "" && calls(b.value, b.name)
		if b.writes > 0 || !b.data && !own {
			continue
		}
		what := b.name
		if c.member != "" {
			what += "." + c.member
		}
		l.found(c.line, ruleShadow, "the %s of line %d hides weir's %s, so this does not call it; give the local another name", b, b.line, what)
	}
}
