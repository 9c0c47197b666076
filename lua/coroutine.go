package lua

import (
	"reflect"
	"runtime"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// coroutineFunctions replace gopher-lua's, whose coroutines run under a context of their own that does not
// ask ours.
func (w *worker) coroutineFunctions() map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"create": w.coCreate, "resume": w.coResume, "wrap": w.coWrap, "yield": w.coYield,
		"status": coStatus, "running": coRunning,
	}
}

func (w *worker) newThread(L *glua.LState, fn *glua.LFunction) *glua.LState {
	w.charge(L, bytesCoroutine)
	w.step(L, window/8)
	thread, cancel := L.NewThread()
	thread.SetContext(&w.budget)
	if cancel != nil {
		cancel() // of the context that was just replaced
	}
	w.threads[thread] = fn
	return thread
}

func (w *worker) coCreate(L *glua.LState) int {
	L.Push(w.newThread(L, L.CheckFunction(1)))
	return 1
}

// maxResumes bounds how many coroutines may be resumed inside each other. Each has a call stack of its own, and
// all of them together stand on the one stack of the goroutine, whose overflow would end the process.
const maxResumes = 32

// What handing over values costs, in bytes.
const (
	bytesResume = 64
	bytesHanded = 32 // a value, in two slices
)

// registryAt and valuesAt are where a state's registers stand, of which it has more the more values its calls hold.
var registryAt, valuesAt = func() (uintptr, uintptr) {
	registry, ok := reflect.TypeFor[glua.LState]().FieldByName("reg")
	if !ok || registry.Type.Kind() != reflect.Pointer {
		panic("lua: this version of gopher-lua keeps registers in another way; see coroutine.go")
	}
	values, ok := registry.Type.Elem().FieldByName("array")
	if !ok || values.Type != reflect.TypeFor[[]glua.LValue]() {
		panic("lua: this version of gopher-lua keeps registers in another way; see coroutine.go")
	}
	return registry.Offset, values.Offset
}()

const bytesRegister = 16

// registers is how many registers L has room for.
func registers(L *glua.LState) int {
	registry := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(L), registryAt))
	return cap(*(*[]glua.LValue)(unsafe.Add(registry, valuesAt)))
}

func resumes(L *glua.LState) int {
	n := 0
	for ; L.Parent != nil; L = L.Parent {
		n++
	}
	return n
}

// refusal says why thread cannot be resumed, "" when it can.
func (w *worker) refusal(L, thread *glua.LState) string {
	switch status := L.Status(thread); {
	case w.threads[thread] == nil:
		return "cannot resume a coroutine of an earlier event"
	case status != "suspended":
		return "cannot resume " + status + " coroutine"
	case resumes(L) >= maxResumes:
		return "cannot resume: too many coroutines inside each other"
	}
	return ""
}

// resume runs a thread that is not refused until it yields or ends. The error is the thread's.
func (w *worker) resume(L, thread *glua.LState, args []glua.LValue) ([]glua.LValue, glua.LValue) {
	w.step(L, 4)
	w.charge(L, bytesResume+len(args)*bytesHanded)
	before := registers(thread)
	_, err, values := L.Resume(thread, w.threads[thread], args...)
	if w.budget.tripped == "" { // else the error says where
		w.charge(L, (registers(thread)-before)*bytesRegister) // it has them for as long as anybody has it
	}
	if err == nil {
		return values, nil
	}
	return nil, w.caught(L, err)
}

func arguments(L *glua.LState, from int) []glua.LValue {
	var args []glua.LValue
	for i := from; i <= L.GetTop(); i++ {
		args = append(args, L.Get(i))
	}
	return args
}

func (w *worker) coResume(L *glua.LState) int {
	thread := L.CheckThread(1)
	if reason := w.refusal(L, thread); reason != "" {
		L.Push(glua.LFalse)
		L.Push(glua.LString(reason))
		return 2
	}
	values, failure := w.resume(L, thread, arguments(L, 2))
	if failure != nil {
		L.Push(glua.LFalse)
		L.Push(failure)
		return 2
	}
	L.Push(glua.LTrue)
	for _, v := range values {
		L.Push(v)
	}
	return len(values) + 1
}

func (w *worker) coWrap(L *glua.LState) int {
	thread := w.newThread(L, L.CheckFunction(1))
	L.Push(L.NewFunction(func(L *glua.LState) int {
		if reason := w.refusal(L, thread); reason != "" {
			L.RaiseError("%s", reason)
		}
		values, failure := w.resume(L, thread, arguments(L, 1))
		if failure != nil {
			L.Error(failure, 0)
		}
		for _, v := range values {
			L.Push(v)
		}
		return len(values)
	}))
	return 1
}

func (w *worker) coYield(L *glua.LState) int {
	if L.Parent == nil {
		L.RaiseError("attempt to yield outside a coroutine")
	}
	w.step(L, 8)
	w.charge(L, L.GetTop()*bytesHanded)
	if calledByGo() {
		L.RaiseError("attempt to yield across pcall, a metamethod, an iterator or a function of the library")
	}
	return -1
}

// calledByGo reports whether the function that yields was called by Go code, which cannot be left and
// entered again: gopher-lua would take the yield for the end of that call. Only Go's own stack knows.
func calledByGo() bool {
	var pcs [12]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		switch frame.Function {
		case "github.com/yuin/gopher-lua.threadRun":
			return false
		case "github.com/yuin/gopher-lua.(*LState).callR":
			return true
		}
		if !more {
			return true
		}
	}
}

func coStatus(L *glua.LState) int {
	L.Push(glua.LString(L.Status(L.CheckThread(1))))
	return 1
}

func coRunning(L *glua.LState) int {
	if L.Parent == nil {
		L.Push(glua.LNil)
	} else {
		L.Push(L)
	}
	return 1
}
