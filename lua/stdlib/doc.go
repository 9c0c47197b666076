// Package stdlib is what the library of scripts computes, in plain Go: times, patterns, and the texts that
// logs are made of. It knows no Lua; package lua binds it, and docs/lua.md describes it.
//
// Invariants
//
//	S1  No call works longer than some milliseconds without asking the Spend it was given, whatever its
//	    arguments are, or its work is bounded by the length of a text that it reads once.
//	S2  Patterns come from scripts and may come from events. How long one takes to compile and how much
//	    memory it takes to match is known from its text before either begins.
//	S3  What is kept from call to call is bounded, by number and by size.
//
// Strings that are returned are parts of those that were given, or new; nothing keeps an argument.
//
// Concurrency: compiled patterns, formats and caches may be used by any number of goroutines at a time.
package stdlib
