// Command bench measures weir beside what the machine could do at all.
//
//	go run ./bench [--scenario NAME,...|all] [--full] [--longest-round TIME] [--seconds N] [--rounds N]
//	               [--weir PATH] [--before PATH] [--report DIR] [--json FILE] [--markdown FILE] [--profile DIR]
//	go run ./bench --target NAME=URL,FORMAT [--target ...] [--sink ADDRESS] [--pid PID] [--kill PID [--restart COMMAND]]
//	go run ./bench compare OLD NEW [--markdown FILE]
//	go run ./bench elastic --url URL [--server-pid PID] [--documents N] [--rounds N]
//
// It builds weir, or takes a binary, and starts every server as a child process with a data directory of its
// own: weir, two baselines (package baseline) and a counting Elasticsearch (package elastictest), the
// last two from this same binary by its hidden command "child". The load (package load) comes from this process. Loops that
// only write to the disk, or only send to the sink, are children, too (see ceiling.go).
//
// Backlogs come about by a sink that refuses for as long as it is told to (see backlog.go): outage.go, restart.go and cost.go
// make rounds of their own with them.
//
// A scenario is a table of cases, a case is a load and the targets that it is put on (see scenario.go), a target
// knows how to start its server and how to prove that what the server acknowledged arrived (see target.go).
// Targets take turns, round by round, each round on a fresh process and directory. What is found goes into a report (package
// report). A run estimates beforehand how long it takes (see estimate.go): a case whose rounds do not follow from the window says
// how long one of them does.
//
// The command "elastic" measures delivery into a real server beside other loaders (see elastic_run.go). They run in this
// process and send, from memory, the documents that weir makes of its events: the same bytes, which a test compares.
//
// With --target it measures log receivers that the user has started, whatever they are, in place of the scenarios (see others.go): they
// deliver to a counting Elasticsearch of the benchmark's, and events carry marks (package marks) that are found again there.
//
// Invariants
//
//	M1  A round counts only what was acknowledged with the right status and number of events; any other answer
//	    fails the run.
//	M2  After each round of weir every acknowledged event is counted: at the sink, or, where the sink is away or a backlog is left on
//	    purpose, below the durable offset. One missing, or one too many, fails the run. By their ids, one by one, are told apart dead
//	    letters that are replayed, by marks the events of others' receivers. After a kill the log may hold more: what was under way and had no answer. All of it has to arrive once.
//	M3  A failed run exits with 1 and names what failed, also in the reports. Speed never fails a run.
//	M4  Child processes and directories are gone when the command returns, also after a signal; so are the indices
//	    that were made in a real server.
//	M5  A round into a real server counts only with exactly its documents in the index.
//	M6  A round of transforms counts only when every event has become one document.
//	M7  A run that is broken off, also by a signal, writes the reports of the rounds that it finished.
//	M8  A round of dead letters counts only when each was listed and delivered once, and none is left; one of the search
//	    store only when as many events are found as were acknowledged.
//	M9  What receivers of others lose or double is found event by event. It is in the report, and fails nothing.
//
// The scenarios "letters" and "store" go through several rows with one weir (see rows.go), the first also by weir's own commands.
// The scenario "transform" starts no server: it measures package lua in processes of their own beside other ways to
// do the same (package transform).
//
// Everything else drives the service over HTTP only; apart from package transform, bench does not import its packages.
package main
