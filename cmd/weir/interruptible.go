package main

import (
	"context"
	"io"
)

// interruptible is a reader that ends with its context also while it waits for a terminal or a pipe. What is read
// then is lost, so it is for commands that end too.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

type readResult struct {
	bytes []byte
	err   error
}

// Read implements io.Reader.
func (r interruptible) Read(p []byte) (int, error) {
	done := make(chan readResult, 1)
	go func() {
		buf := make([]byte, len(p)) // p is the caller's again when nobody waits any more
		n, err := r.in.Read(buf)
		done <- readResult{buf[:n], err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	case got := <-done:
		return copy(p, got.bytes), got.err
	}
}
