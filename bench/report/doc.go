// Package report holds the results of a benchmark and prints them: a table for a terminal, Markdown for
// documents, JSON for programs.
//
// A Report has Cases (one load), a Case has Rows (one target under that load), a Row has Rounds (one run of
// that target). Rounds of one case are interleaved over its targets, and the i-th rounds of two rows ran one
// after the other: Share compares those pairs, so that what the machine did otherwise meanwhile touches
// both alike.
//
// Every figure of a row is the median of its rounds; the spread is the least and the greatest. Peak memory is
// the greatest of all rounds, because it is a limit.
//
// The JSON form carries its version in "format"; fields are added, never changed.
package report
