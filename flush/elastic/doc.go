// Package elastic delivers documents to Elasticsearch and OpenSearch through their bulk API.
//
// One Send is one bulk request of create or index actions. Its body is streamed from the documents' own bytes; its
// answer is read strictly, because a misread answer is a lost event. What an answer means stands in one table,
// flush.Meanings:
//
//	status of the request
//	  200        every item is looked at; flush.Classify says what its status means
//	  others     flush.ClassifyRequest says whether to split, to try again (after Retry-After where it is given) or to park
//	no answer, or one that cannot be trusted: nothing is known, everything is sent again; ids make that harmless
//
// Invariants
//
//	E1  A document is Delivered or Duplicate only when a complete, well-formed answer of status 200 with one
//	    item per document said so for its id.
//	E2  Items are matched to documents by id, not by position alone: Elasticsearch before 8.12.1 and
//	    OpenSearch permute the items of documents that an ingest pipeline failed or dropped. Documents without
//	    an id have nothing but their position: on those servers, when an answer holds both failed and dropped
//	    ones of them, the dropped ones count as failed too, and no failure ends as a success.
//	E3  The same documents give the same request bytes. The documents' own bytes are never changed, and
//	    nobody reads them after Send returned, also when it was cancelled.
//	E4  Send makes one request that a server may see. When no connection to a node comes about (refused, no route, no
//	    name, a failed handshake) nobody saw it, and it goes to the next address that is well, at once. As soon as there was
//	    a connection, whatever happens is returned: retrying, waiting and splitting are the flusher's.
//	E5  Redirects are not followed: credentials and events go to the configured addresses only.
//	E6  No error, name, status or log line holds a secret: passwords, keys, and values of headers.
//
// Several addresses are taken in turn. One that cannot be reached, times out, answers 502, 503 or 504, or answers what no
// search server answers, rests, 1s at first and at most 30s. When the rest is over and others are well, it has to answer
// GET / within 2s before it is given a batch. While another node may do better, nothing that one node says parks delivery.
//
// Before the first bulk request, a sink finds out who the destination is: what it sends may depend on it. A destination that
// does not say (a key that may only write) is delivered to all the same, with what every server understands.
//
//	zstd                     only to OpenSearch from 2.19; gzip to all others, and after a 400
//	require_data_stream      parks on a server that does not know it
//	Elasticsearch before 7   parks
//
// Concurrency: a Sink is safe for concurrent use and owns no goroutines besides those of its idle HTTP
// connections, which Close ends.
//
// Setup makes the templates, policies and data streams that logs need (weir setup). Sending never makes any of them. The
// package does not retry and does not choose batch sizes.
package elastic
