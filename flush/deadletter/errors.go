package deadletter

import "errors"

// Errors of the store. Put returns flush.ErrDeadLettersFull besides.
var (
	// ErrUnknownKey is returned for a key that names no live letter: it never was one, or it is settled.
	ErrUnknownKey = errors.New("no such dead letter")
	// ErrLetterDamaged is returned by Get when the letter's bytes in the dead-letter log cannot be read. Its cause and its
	// place are still listed; what is left of its bytes is below the repair directory.
	ErrLetterDamaged = errors.New("dead letter is damaged on disk")
	// ErrClosed is returned once Run has ended.
	ErrClosed = errors.New("dead letters are closed")
	// ErrReplayRunning is returned by Replay while another replay of the same store runs.
	ErrReplayRunning = errors.New("a replay is running already")
	// ErrEmptyEvent is returned by Edit for an event without bytes.
	ErrEmptyEvent = errors.New("event is empty")
)

var (
	// errRecord is returned by the decoder of records; the log's checksum has passed, so it was
	// written as it is: by mistake, or as the record of another log whose segment was moved here.
	errRecord = errors.New("dead-letter record is invalid")
	// errIndex makes Open build the index anew.
	errIndex = errors.New("index of dead letters is invalid")
)
