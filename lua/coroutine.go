package lua

import (
	glua "github.com/yuin/gopher-lua"
)

// coroutineFunctions replace gopher-lua's, whose coroutines run under a context of their own that does not
// ask ours.
func (w *worker) coroutineFunctions() map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"create": w.coCreate, "resume": w.coResume, "wrap": w.coWrap, "yield": coYield,
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

// resume runs thread until it yields or ends. The error is the thread's.
func (w *worker) resume(L, thread *glua.LState, args []glua.LValue) ([]glua.LValue, glua.LValue) {
	w.step(L, 4)
	switch fn := w.threads[thread]; {
	case fn == nil:
		return nil, glua.LString("cannot resume a coroutine of an earlier event")
	case L.Status(thread) != "suspended":
		return nil, glua.LString("cannot resume " + L.Status(thread) + " coroutine")
	default:
		_, err, values := L.Resume(thread, fn, args...)
		if w.budget.tripped != "" {
			w.unwind(err)
		}
		if api, ok := err.(*glua.ApiError); ok {
			return nil, api.Object
		}
		if err != nil {
			return nil, glua.LString(err.Error())
		}
		return values, nil
	}
}

func arguments(L *glua.LState, from int) []glua.LValue {
	var args []glua.LValue
	for i := from; i <= L.GetTop(); i++ {
		args = append(args, L.Get(i))
	}
	return args
}

func (w *worker) coResume(L *glua.LState) int {
	values, failure := w.resume(L, L.CheckThread(1), arguments(L, 2))
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

func coYield(L *glua.LState) int {
	if L.Parent == nil {
		L.RaiseError("attempt to yield outside a coroutine")
	}
	return -1
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
