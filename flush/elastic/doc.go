// Package elastic delivers documents to Elasticsearch and OpenSearch through their bulk API.
//
// One Send is one bulk request of create actions. Its body is streamed from the documents' own bytes; its
// answer is read strictly, because a misread answer is a lost event:
//
//	status of the request
//	  200        every item is looked at; flush.Classify says what its status means
//	  413, 400   the flusher splits (RequestError.TooLarge, Refused)
//	  401, 403   and whatever else needs somebody to act: RequestError.Operator
//	  429, 5xx   try again, after Retry-After where it is given
//	no answer, or one that cannot be trusted: nothing is known, everything is sent again; ids make that harmless
//
// Invariants
//
//	E1  A document is Delivered or Duplicate only when a complete, well-formed answer of status 200 with one
//	    item per document said so for its id.
//	E2  Items are matched to documents by id, not by position alone: Elasticsearch before 8.12.1 and
//	    OpenSearch permute the items of documents that an ingest pipeline failed or dropped.
//	E3  The same documents give the same request bytes. The documents' own bytes are never changed, and
//	    nobody reads them after Send returned, also when it was cancelled.
//	E4  Send makes one request. Retrying, waiting and splitting are the flusher's.
//	E5  Redirects are not followed: credentials and events go to the configured addresses only.
//	E6  No error, name or log line holds a secret.
//
// Concurrency: a Sink is safe for concurrent use and owns no goroutines besides those of its idle HTTP
// connections, which Close ends.
//
// The product check of the client library would refuse OpenSearch, after the bulk was stored. A round
// tripper therefore supplies the header that it looks for, and says once what was found; Ping tells products apart.
//
// The package does not retry, does not make templates or indices, and does not choose batch sizes.
package elastic
