// Package elastictest is an Elasticsearch for tests and benchmarks: enough of its HTTP interface to take bulk
// requests of create and index actions, on real connections, in memory, and with every fault that a test asks for.
//
//	s := elastictest.Start(t, elastictest.Options{})          // in a test
//	s := elastictest.NewServer(opts); err := s.Serve(listener) // in a process of its own
//
// Invariants
//
//	T1  A document is stored byte for byte as it came, under its index and id, at most once: a second create is 409.
//	T2  A request is taken whole or refused whole as the real server does: what is malformed about its lines
//	    refuses all of it, what is wrong with one document is that item's error.
//	T3  A fault says exactly whether documents were stored before it (see Fault).
//	T4  The same seed and order of requests give the same random faults.
//
// Routes: GET and HEAD /, POST and PUT /_bulk and /{index}/_bulk, and what other shippers ask for first: GET /_license and
// /_cluster/health. For a process of its own also
//
//	GET  /_elastictest/stats                 counts, as JSON
//	GET  /_elastictest/docs?source=false     every document as NDJSON, in order of index and id
//	POST /_elastictest/chaos                 sets Chaos, as JSON
//	POST /_elastictest/reset                 forgets documents and counts
//
// Server methods are safe for concurrent use, also while requests are served. The hooks Item and Request are called
// from many goroutines at once.
//
// It does not search, map, roll over or run pipelines.
package elastictest
