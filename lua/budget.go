package lua

import (
	"fmt"
	"runtime"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// Types of TransformError that this package gives.
const (
	typeError   = "error"
	typeTimeout = "timeout"
	typeMemory  = "memory"
	typeResult  = "result"
)

const (
	// window is how many steps pass between two looks at the clock: some 30 µs of ordinary Lua.
	window = 1024
	// windowWork bounds what one window may cost where one instruction handles a large value: a
	// comparison of long strings, the length of a long list. See grown.
	windowWork = 4 << 20
	// keptSize is how large a value is that shortens the windows of later events too: the script may have kept it.
	keptSize = 64 << 10
	// calmEvents is how many events in a row may have short windows for values that are not theirs. Making the state anew
	// costs less than more of them.
	calmEvents = 16
)

// closed is what Done returns once a limit is overrun.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// budget is what one event may use. gopher-lua calls Done of a state's context before each instruction,
// in the state's own goroutine; that makes the context a hook. So budget is a context.Context that counts,
// and looks at the clock now and then. Native functions count their work with step and charge.
//
// Time is the processor time of the thread, where the system tells it: a busy machine does not cost a
// script its event. From its first look at the clock on, the event therefore keeps its thread. An event
// that needs fewer steps than a window never looks.
type budget struct {
	timeout   time.Duration
	maxMemory int64
	now       func() time.Duration

	steps    int           // until the next look at the clock
	interval int           // steps between two looks, less than window while large values are about
	started  time.Duration // the clock at the first look
	timing   bool          // there was a first look; the thread is locked
	memory   int64         // bytes allocated since reset, never given back
	total    int64         // bytes allocated since the state was made
	largest  int           // of the values that one instruction may have to walk
	loaded   int           // the largest of those that the script made while it was loaded: each state has them
	calm     int           // events since the last one that had a value of keptSize
	tripped  string        // type of the overrun, "" while there is none
	message  string
}

// reset begins a new account.
func (b *budget) reset(timeout time.Duration, maxMemory int64) {
	b.total += b.memory
	b.timeout, b.maxMemory = timeout, maxMemory
	// A large value may have been kept, and meet this event.
	if b.largest < keptSize {
		b.interval, b.largest = window, 0
	}
	b.calm++
	b.steps = b.interval
	b.memory = 0
	b.tripped, b.message = "", ""
}

// hampered reports that events have had short windows for long, for the sake of what one before them may have left.
func (b *budget) hampered() bool {
	return b.largest >= keptSize && b.largest > b.loaded && b.calm > calmEvents
}

// end is called by the goroutine that ran the event, when it has ended.
func (b *budget) end() {
	if b.timing {
		b.timing = false
		runtime.UnlockOSThread()
	}
}

// Done implements context.Context for gopher-lua.
func (b *budget) Done() <-chan struct{} {
	b.steps--
	if b.steps > 0 {
		return nil
	}
	if !b.look() {
		return closed
	}
	return nil
}

// Err implements context.Context; gopher-lua raises its text.
func (b *budget) Err() error {
	if b.tripped == "" {
		return nil
	}
	return overrun(b.message)
}

// Deadline implements context.Context.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (b *budget) Value(any) any { return nil }

type overrun string

func (o overrun) Error() string { return string(o) }

// look reads the clock; false when the event has overrun a limit. Once it has, every instruction looks.
func (b *budget) look() bool {
	if b.tripped != "" {
		b.steps = 0
		return false
	}
	if !b.timing {
		b.timing = true
		runtime.LockOSThread()
		b.started = b.now()
	} else if b.now()-b.started > b.timeout {
		b.trip(typeTimeout, fmt.Sprintf("the script ran longer than its limit of %v", b.timeout))
		return false
	}
	b.steps = b.interval
	return true
}

func (b *budget) trip(kind, message string) {
	b.tripped, b.message, b.steps = kind, message, 0
}

// work counts n steps; false when the event has overrun a limit.
func (b *budget) work(n int) bool {
	b.steps -= n
	return b.steps > 0 || b.look()
}

// take accounts for n bytes before they are allocated; false when they are over the limit. What is
// freed is not given back: the limit is on what an event allocates, which bounds what it holds as well.
func (b *budget) take(n int) bool {
	b.memory += int64(n)
	if b.memory <= b.maxMemory && n >= 0 {
		return b.tripped == ""
	}
	if b.tripped == "" {
		b.trip(typeMemory, fmt.Sprintf("the script allocated more than its limit of %d bytes", b.maxMemory))
	}
	return false
}

// grown notes that a value of n bytes or elements exists, and shortens the window accordingly.
func (b *budget) grown(n int) {
	if n >= keptSize {
		b.calm = 0
	}
	if n <= b.largest {
		return
	}
	b.largest = n
	if b.interval = windowWork / n; b.interval > window {
		b.interval = window
	}
	if b.interval < 1 {
		b.interval = 1
	}
	b.steps = min(b.steps, b.interval)
}

// step counts the work of a native function and raises an error in the script on an overrun.
func (w *worker) step(L *glua.LState, n int) {
	if !w.budget.work(n) {
		w.raiseOverrun(L)
	}
}

// charge accounts for n bytes that a native function is about to allocate and raises on an overrun.
func (w *worker) charge(L *glua.LState, n int) {
	if !w.budget.take(n) {
		w.raiseOverrun(L)
	}
}

// text charges for a string of n bytes and counts the copying.
func (w *worker) text(L *glua.LState, n int) {
	w.charge(L, n+16)
	if n > windowWork/window {
		w.budget.grown(n)
		w.step(L, n>>8)
	}
}

func (w *worker) raiseOverrun(L *glua.LState) {
	L.RaiseError("%s", w.budget.message)
}
