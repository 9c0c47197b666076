// Package load makes events and sends them in HTTP requests, as fast as they are answered or at a fixed rate, and counts what was
// acknowledged.
//
// It exists because a generator that costs as much as the server it measures, on the same cores, measures
// itself. A thread serves many connections from one epoll set with raw non-blocking calls: no goroutine,
// no timer and no allocation per request. A connection has one request in flight.
//
//	closed loop  Plan.Rate 0: the next request is sent when the answer is complete. A server that stalls is asked less,
//	             so percentiles describe the requests that were sent, not those that clients would have sent meanwhile.
//	open loop    requests become due at even distances, whatever the server does.
//
// Invariants
//
//	L1  A request counts as acknowledged only if its answer is complete, has the status that was wanted and,
//	    where one is given, the very body that was wanted; or Plan.Acknowledges says so. Any other end is a failure,
//	    counted and named.
//	L2  Every acknowledged event counts in Result.Acked, also those of the warm-up and those whose
//	    answers came after the window: that is what a sink must have received in the end.
//	L3  Rates are of answers that came within the window, and so are the latencies of a closed loop.
//	L4  A request whose answer never came is unanswered: neither acknowledged nor failed.
//	L5  In an open loop a request that is due while no connection is free waits, and is never skipped. Its latency counts
//	    from when it was due to its answer's last byte: a client of the real world would have come at that moment, and waited
//	    (the correction of coordinated omission). The latencies are of all requests that were due within the window,
//	    those included that were sent after its end. Only when patience ends before a connection is free is a request not
//	    sent; it counts with the time that it had waited until then.
//	L6  What becomes of slow connections fails nothing.
//
// In a closed loop, latency is the time from before the write of a request to after the read of its answer's last byte. Where each
// request has a connection of its own (Plan.DialEach), connecting belongs to it in both loops; closing does not.
//
// Run starts its goroutines and returns after they have ended. It does not follow redirects, pipeline, or speak TLS.
package load
