package lua

import (
	"math"
	"math/rand/v2"

	glua "github.com/yuin/gopher-lua"
)

func (w *worker) mathFunctions() map[string]glua.LGFunction {
	functions := map[string]glua.LGFunction{
		"max": w.mathMax, "min": w.mathMin, "frexp": w.mathFrexp, "modf": w.mathModf,
		"random": w.mathRandom, "randomseed": w.mathSeed,
	}
	one := map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil, "cos": math.Cos,
		"cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log": math.Log, "log10": math.Log10, "sin": math.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
		"deg": func(x float64) float64 { return x * 180 / math.Pi },
		"rad": func(x float64) float64 { return x * math.Pi / 180 },
	}
	for name, f := range one {
		functions[name] = func(L *glua.LState) int {
			L.Push(glua.LNumber(f(w.argFloat(L, 1))))
			return 1
		}
	}
	two := map[string]func(a, b float64) float64{
		"atan2": math.Atan2, "fmod": math.Mod, "mod": math.Mod, "pow": math.Pow,
		"ldexp": func(a, b float64) float64 { return math.Ldexp(a, int(b)) },
	}
	for name, f := range two {
		functions[name] = func(L *glua.LState) int {
			L.Push(glua.LNumber(f(w.argFloat(L, 1), w.argFloat(L, 2))))
			return 1
		}
	}
	return functions
}

// argFloat is an argument that must be a number, or text that is one.
func (w *worker) argFloat(L *glua.LState, i int) float64 {
	if s, ok := L.Get(i).(glua.LString); ok {
		w.step(L, len(s)>>4)
	}
	f, ok := float(L.Get(i))
	if !ok {
		L.ArgError(i, "number expected, got "+kindOf(L.Get(i), w))
	}
	return f
}

func (w *worker) mathMax(L *glua.LState) int {
	v := w.argFloat(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		v = math.Max(v, w.argFloat(L, i))
	}
	L.Push(glua.LNumber(v))
	return 1
}

func (w *worker) mathMin(L *glua.LState) int {
	v := w.argFloat(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		v = math.Min(v, w.argFloat(L, i))
	}
	L.Push(glua.LNumber(v))
	return 1
}

func (w *worker) mathFrexp(L *glua.LState) int {
	fraction, exponent := math.Frexp(w.argFloat(L, 1))
	L.Push(glua.LNumber(fraction))
	L.Push(glua.LNumber(exponent))
	return 2
}

func (w *worker) mathModf(L *glua.LState) int {
	whole, fraction := math.Modf(w.argFloat(L, 1))
	L.Push(glua.LNumber(whole))
	L.Push(glua.LNumber(fraction))
	return 2
}

func (w *worker) mathRandom(L *glua.LState) int {
	low, high := 1.0, 0.0
	switch L.GetTop() {
	case 0:
		L.Push(glua.LNumber(w.random.Float64()))
		return 1
	case 1:
		high = math.Floor(w.argFloat(L, 1))
	default:
		low, high = math.Floor(w.argFloat(L, 1)), math.Floor(w.argFloat(L, 2))
	}
	if !(low <= high) || high-low >= maxExact {
		L.ArgError(L.GetTop(), "interval is empty or too large")
	}
	L.Push(glua.LNumber(low + float64(w.random.Int64N(int64(high-low)+1))))
	return 1
}

// mathSeed seeds this state's numbers only, until the state is made anew.
func (w *worker) mathSeed(L *glua.LState) int {
	w.random = rand.New(rand.NewPCG(math.Float64bits(w.argFloat(L, 1)), 0))
	return 0
}
