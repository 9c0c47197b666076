// Package lua runs the operator's script over events: it implements flush.Transformer.
//
// A script defines transform(event, meta); docs/lua.md is its manual. The package compiles the script,
// keeps a pool of Lua states, gives each event to one of them and encodes what comes back.
//
// Invariants
//
//	L1  What a script does not touch leaves as it came, byte for byte: members are copied from the
//	    event's own text, an untouched event is the payload itself. A value that is moved keeps its
//	    text too, except for the escapes of strings.
//	L2  A script reaches its event, its meta table and the functions named in sandbox.go and library.go;
//	    no files, no network, no clock, no other code, no other script's state.
//	L3  An event ends within its limits of time and memory, whatever the script does: inside native
//	    functions, coroutines, metamethods and protected calls as well. What overran a limit is
//	    thrown away with its state.
//	L4  An event sees no global that another event has assigned, and cannot change the libraries.
//	    Tables and locals that the script made while it was loaded are shared by the events of one
//	    Lua state, which is made anew now and then, at any time (see worker.worn). What the script keeps in
//	    its table state outlives that; an event that fails has changed nothing in it (state.go).
//	L5  A script takes over only after it compiled, was loaded, defined transform and passed its own
//	    tests: functions and tables test_*, and the golden events beside its file. An event is transformed
//	    by one version of the script, never by a mixture.
//	L6  What a changed script is tried on in the shadow leaves no trace but the report. A trial that cannot be made, or
//	    takes too long, keeps no script from taking over.
//	L7  A version that is rolled back gives way to one that was in force before, and is not taken again by itself.
//	L8  What an event does besides its documents, its changes of state and what it counts with metric.inc, comes about once
//	    it has ended well. Lines of log.info and log.warn are written at once, bounded by event and by version.
//
// # How the limits work
//
// gopher-lua asks its context before each instruction, in the goroutine that runs the script. The context
// here is a budget that counts, and reads the thread's processor time after so many steps (budget.go). Memory is accounted
// for where it is allocated: the syntax tree is rewritten so that concatenation, assignments to fields,
// table constructors and closures are calls (rewrite.go), and every native function is one of ours. No
// protected call catches an overrun (protect.go). What the limits do not count is bounded by numbers: the
// depth of calls, of coroutines inside each other and of syntax, which all stand on the goroutine's stack.
//
// # How events are seen
//
// A table that came from JSON is a Lua table whose metatable leads here; a node knows where its members
// stand in the text and which of them were read or assigned (view.go). Only what is read is decoded. Where a
// variable is likely to hold such a table, a path of fields is read by one call (path.go).
//
// # How scripts are linted
//
// Lint reads a script without running it (lint.go). It walks the syntax tree once, with scopes, and judges
// when it knows what the script defines anywhere. What weir itself offers it reads out of a sandbox.
//
// # How a version comes and goes
//
// Each version that comes into force has a pool of states (transformer.go). Taking over (reload.go) and rolling back
// (rollback.go) are one atomic store of another pool, so an event, which looks once which pool there is, notices nothing. The
// run in the shadow (shadow.go) is in the goroutine that reloads. A version is judged in the goroutine of an
// event that failed; events that do not fail are counted, and that is all.
//
// Concurrency: a Transformer is safe for concurrent use; each call borrows a state from a pool that
// grows to as many states as there ever were calls at a time. Lint may be called concurrently. Run is the
// only goroutine, and ends with its context.
//
// The package does not retry, does not decide which index a script may choose, and does not fill in
// what the script left open: that is flush's.
package lua
