package lua

import (
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// openUpvalues is where a state's list of open upvalues stands: the local variables of functions in progress
// that closures share.
var openUpvalues = func() uintptr {
	f, ok := reflect.TypeFor[glua.LState]().FieldByName("uvcache")
	if !ok || f.Type != reflect.TypeFor[*glua.Upvalue]() {
		panic("lua: this version of gopher-lua keeps open upvalues in another way; see protect.go")
	}
	return f.Offset
}()

// protected calls the function below the top nargs values, and leaves all of its results.
//
// gopher-lua closes all upvalues at an error, also those of functions around the protected call, which
// stay: a closure and its function would each have a copy of their common variables from then on. So those
// are put aside. Nobody needs them meanwhile: they are looked up only by code of the functions they belong to.
func (w *worker) protected(L *glua.LState, nargs int) error {
	L.Insert(guard, L.GetTop()-nargs)
	open := (**glua.Upvalue)(unsafe.Add(unsafe.Pointer(L), openUpvalues))
	outer := *open
	*open = nil
	err := L.PCall(nargs+1, glua.MultRet, nil)
	*open = outer
	return err
}

// guard calls its first argument with the others. An error in there comes with a stack trace already, for PCall
// would spell out the whole stack, which nobody reads, and take a time that grows with the square of its depth.
var guard = &glua.LFunction{IsG: true, GFunction: func(L *glua.LState) int {
	L.Panic = raiseUntraced
	L.Call(L.GetTop()-1, glua.MultRet)
	return L.GetTop()
}}

func raiseUntraced(L *glua.LState) {
	panic(&glua.ApiError{Type: glua.ApiErrorRun, Object: L.Get(-1), StackTrace: untraced})
}

// untraced stands for the stack trace of an error that has none.
const untraced = "-"

// protectedCost is the price of a protected call in steps: a failure unwinds Go's stack.
const protectedCost = 64

// pcall is Lua's, except that nothing catches the overrun of a limit.
func (w *worker) pcall(L *glua.LState) int {
	L.CheckAny(1)
	w.step(L, protectedCost)
	err := w.protected(L, L.GetTop()-1)
	if err == nil {
		w.step(L, 1)
		L.Insert(glua.LTrue, 1)
		return L.GetTop()
	}
	L.Push(glua.LFalse)
	L.Push(w.caught(L, err))
	return 2
}

// xpcall calls its handler when the stack of the failed call is gone: there is no debug library that could
// look at it, and a handler finds room even after a stack overflow.
func (w *worker) xpcall(L *glua.LState) int {
	fn, handler := L.CheckAny(1), L.CheckFunction(2)
	w.step(L, protectedCost)
	L.SetTop(2)
	L.Push(fn)
	err := w.protected(L, 0)
	if err == nil {
		w.step(L, 1)
		L.Insert(glua.LTrue, 3)
		return L.GetTop() - 2
	}
	L.Push(glua.LFalse)
	L.Push(handler)
	L.Push(w.caught(L, err))
	if err := w.protected(L, 1); err != nil {
		message := "error in error handling"
		if s, ok := w.caught(L, err).(glua.LString); ok {
			message += ": " + string(s)
		}
		L.Push(glua.LString(message))
	}
	L.SetTop(4) // one value
	return 2
}

// caught is the error that a protected call gives to the script, unless it is one that ends the event. A text is paid
// for here, whoever made it: it may quote a name as long as the script likes, and the script may keep it.
func (w *worker) caught(L *glua.LState, err error) glua.LValue {
	if w.budget.tripped != "" {
		w.unwind(err)
	}
	api, ok := err.(*glua.ApiError)
	if !ok || api.Object == nil {
		return glua.LString(err.Error())
	}
	if text, ok := api.Object.(glua.LString); ok {
		w.text(L, len(text))
		return glua.LString(w.prog.named(string(text)))
	}
	return api.Object
}

// unwind passes an overrun on as it is.
func (w *worker) unwind(err error) {
	api, ok := err.(*glua.ApiError)
	if !ok || api.Object == nil {
		api = &glua.ApiError{Type: glua.ApiErrorRun, Object: glua.LString(w.budget.message)}
	}
	if api.StackTrace == "" {
		api.StackTrace = untraced
	}
	panic(api)
}
