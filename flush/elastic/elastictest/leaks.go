package elastictest

import "go.uber.org/goleak"

// IgnoreLeaks returns the options of a leak check for goroutines that fasthttp leaves behind: one
// that ends within ten seconds of Close, and one for the process that keeps the date.
//
//	goleak.VerifyTestMain(m, elastictest.IgnoreLeaks()...)
func IgnoreLeaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	}
}
