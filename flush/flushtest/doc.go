// Package flushtest holds the contract suites of package flush's interfaces. Every implementation runs the
// suite of its interface, and so does every double that other tests rely on.
//
//	func TestSink_Contract(t *testing.T) {
//		flushtest.RunSink(t, func(t *testing.T) flushtest.SinkFixture { ... })
//	}
//
// The suites need nothing of an implementation but what its interface promises, and a way to look at what was stored.
package flushtest
