// Package transform measures ways to transform events: weir's Lua, what others do, and how fast it could be.
//
// A Way makes a flush.Transformer. Measure puts events (Events) through one in this process, in batches as
// flush does, and counts processor time, allocated bytes and the memory that a worker keeps. Its caller gives
// each measurement a process of its own.
//
// Invariants
//
//	T1  Ways with the same script make documents that mean the same; a test compares them on every shape of event.
//	T2  A measurement counts only when every event has become exactly one document.
//	T3  Events are different from each other in text and in shape, and the same for every way.
//
// Concurrency: Measure runs its goroutines and waits for them. A transformer of a Way that is not weir's own
// is for one goroutine.
package transform
