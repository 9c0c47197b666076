package wal

import "time"

// company decides how long the committer waits for more appends to share its next fsync.
//
// Clients that wait for their answer before they send again, as PHP workers do, come back together soon after the
// group that answered them. A group that is taken at once meets the few who were queued meanwhile, and its fsync makes
// all the others wait for the next one: groups of half the clients, and twice the fsyncs. So the committer waits for
// three quarters of those who came during the last commit and in its group, but never longer than a commit takes. A log with
// one writer, or with fewer than one arrival for each commit, never waits. Guarded by Log.mu.
type company struct {
	expected int           // appends that the next group should have
	wake     int           // queued appends at which the committer is woken
	pace     time.Duration // of a commit, on average
	over     bool          // those who are missing do not come
}

// longestLinger bounds the wait where commits are slow: a slow disk has queued enough by then.
const longestLinger = time.Millisecond

// committed learns from a commit: how many appends it had, how many were queued when it ended, and how long it took.
func (c *company) committed(appends, queued int, took time.Duration) {
	c.expected = (appends + queued) * 3 / 4
	c.pace += (took - c.pace) / 8
	c.over = false
}

// linger returns how long to wait for more than the queued appends; 0 when their commit should begin.
func (c *company) linger(queued int) time.Duration {
	c.wake = 1
	if queued == 0 || queued >= c.expected || c.over {
		return 0
	}
	c.wake = c.expected
	return min(c.pace, longestLinger)
}
