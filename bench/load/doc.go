// Package load sends HTTP requests in a closed loop and counts what was acknowledged.
//
// It exists because a generator that costs as much as the server it measures, on the same cores, measures
// itself. A thread serves many connections from one epoll set with raw non-blocking calls: no goroutine,
// no timer and no allocation per request. A connection has one request in flight; the next is sent when
// its answer is complete.
//
// Invariants
//
//	L1  A request counts as acknowledged only if its answer is complete, has the status that was wanted and,
//	    where one is given, the very body that was wanted. Any other end is a failure, counted and named.
//	L2  Every acknowledged event counts in Result.Acked, also those of the warm-up and those whose
//	    answers came after the window: that is what a sink must have received in the end.
//	L3  Rates and latencies are of answers that came within the window.
//	L4  A request whose answer never came is unanswered: neither acknowledged nor failed.
//
// Latency is the time from before the write of a request to after the read of its answer's last byte. The
// loop is closed: a stalled server is asked less, so percentiles describe the requests that were sent, not
// those that a fixed rate would have sent.
//
// Run starts its goroutines and returns after they have ended. It does not follow redirects, pipeline,
// take chunked answers or reopen a connection that ended.
package load
