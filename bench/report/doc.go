// Package report holds the results of a benchmark and prints them: a table for a terminal, Markdown and charts
// for documents, JSON for programs. It also says what changed from one report to another.
//
// A Report has Cases (one load), a Case has Rows (one target under that load), a Row has Rounds (one run of
// that target). Rounds of one case are interleaved over its targets, and the i-th rounds of two rows ran one
// after the other: Share compares those pairs, so that what the machine did otherwise meanwhile touches
// both alike.
//
// A column (column.go) is a figure of a round, or its share of a ceiling: a target that shows what could be reached at all. Tables,
// Markdown and Compare all go by the one list of columns, so that a new figure is one line there.
//
// Invariants
//
//	P1  Every figure of a row is the median of its rounds, and stands with the least and the greatest. Peak memory and other
//	    limits are the greatest of all rounds.
//	P2  The JSON form carries its version in "format"; fields are added, never changed. Read refuses another version.
//	P3  Compare marks a change only when the rounds of the two reports lie apart by more than chance explains (Rule).
//	P4  Whatever rounds there are, a report can be written and its charts drawn: a run may be broken off at any time.
package report
