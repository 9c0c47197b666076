package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sys/unix"
)

// Run is the committer. It takes groups of appends, writes and syncs each, and publishes the result,
// until ctx ends. Then it refuses new appends, commits those that are queued, leaves a clean mark and
// closes the files. It returns an error only when that fails; nothing that was acknowledged depends on it,
// nor on the mark. Run may be called once.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running || l.closing {
		l.mu.Unlock()
		return errors.New("log runs already or is closed")
	}
	l.running = true
	l.mu.Unlock()
	defer close(l.done)

	missing := time.NewTimer(time.Hour) // for company
	defer missing.Stop()
	for {
		// Lets the appenders that the last group woke run before the queue is looked at: measured at 64
		// connections, that saves a few per cent of processor time.
		runtime.Gosched()
		g, wait := l.takeInCompany()
		if g != nil {
			l.commit(ctx, g)
			continue
		}
		missing.Reset(wait)
		select {
		case <-l.wake:
		case <-missing.C:
			l.mu.Lock()
			l.company.over = true
			l.mu.Unlock()
		case <-ctx.Done():
			l.refuseNew()
			return l.drain(ctx)
		}
	}
}

// Close closes a log whose Run was never called. It is an error to call it otherwise.
func (l *Log) Close() error {
	l.mu.Lock()
	running := l.running
	l.closing = true
	l.mu.Unlock()
	if running {
		return errors.New("a running log is closed by ending Run")
	}
	return l.finish()
}

// refuseNew makes every later append fail with ErrClosed.
func (l *Log) refuseNew() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
}

// drain commits what was queued before appends were refused, and closes.
func (l *Log) drain(ctx context.Context) error {
	for g := l.take(); g != nil; g = l.take() {
		l.commit(ctx, g)
	}
	return l.finish()
}

// finish leaves the clean mark, closes the library and tells the readers.
func (l *Log) finish() error {
	var err error
	if l.lib != nil {
		l.ahead.cut(l.tailBytes) // before the mark, whose sync makes it durable
		if l.appended {
			if err := l.writeCleanMark(); err != nil { // a full disk must not make an orderly stop a failure
				l.opts.Logger.Warn("the log is closed without its clean mark; the next start looks at its end as after a crash", "error", err)
			}
		}
		if cerr := l.lib.Close(); cerr != nil {
			err = fmt.Errorf("close log: %w", cerr)
		}
		l.lib = nil
	}
	err = errors.Join(err, l.mark.close())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	close(l.changed)
	l.changed = make(chan struct{})
	return err
}

// writeCleanMark appends an empty frame whose watermark covers everything before it, so that at the next
// start damage in the last group cannot be taken for a torn tail.
func (l *Log) writeCleanMark() error {
	h := frameHeader{flags: flagGroupEnd | flagCleanMark, seq: l.nextSeq, first: l.durable + 1, watermark: l.nextSeq - 1, gen: l.gen}
	var b [frameHeaderBytes]byte
	if l.ahead.follow(l.tailBytes + 1 + frameHeaderBytes) {
		h.flags |= flagZeros // they could not be cut off
	}
	putFrameHeader(b[:], &h)
	if _, err := l.writeFrame(b[:]); err != nil {
		return fmt.Errorf("write clean mark: %w", err)
	}
	if err := l.lib.Sync(); err != nil {
		return fmt.Errorf("sync clean mark: %w", err)
	}
	return nil
}

// commit makes one group durable and answers it. The order is the promise: write, directory fsync when
// a segment appeared, file fsync, a look whether the file system lives, durable mark, publish, answer.
func (l *Log) commit(ctx context.Context, g *group) {
	start := time.Now()
	c := commit{first: l.durable + 1, next: l.durable + 1, watermark: l.nextSeq - 1, tail: l.tailBytes}
	err := l.ahead.prepare(l.tailSeq, l.tailBytes, int64(g.bytes))
	if err == nil {
		err = l.writeGroup(g, &c)
	}
	if err == nil {
		syncStart := time.Now()
		if err = l.lib.Sync(); err != nil {
			err = fmt.Errorf("sync segment: %w", err)
		}
		l.opts.Metrics.synced(time.Since(syncStart))
	}
	if err == nil {
		err = l.opts.askFileSystem(l.dir)
	}
	if err != nil {
		g.err = fmt.Errorf("%w: %w", ErrCommit, err)
		l.nextSeq = c.watermark + 1
		l.fail(err)
		close(g.done)
		l.recover(ctx)
		return
	}
	l.mark.set(c.next - 1)
	took := time.Since(start)
	l.publish(&c, len(g.requests), took)
	close(g.done)
	l.opts.Metrics.committed(len(g.requests), uint64(c.next-c.first), c.bytes, took)
	if l.made >= l.opts.renewAfter {
		l.renew(ctx)
	}
}

// commit is the work on one group.
type commit struct {
	first     Offset
	next      Offset
	watermark uint64
	bytes     int64
	tail      int64     // bytes of the active segment after the last write
	made      []segment // segments that the library made while the group was written
	sealed    []int64   // final sizes of the segments that were full: the active one, then all but the last of made
}

// writeGroup encodes the group into frames of about frameBytes and hands them to the library.
func (l *Log) writeGroup(g *group, c *commit) error {
	l.appended = true
	frame := append(l.frame[:0], make([]byte, frameHeaderBytes)...)
	frameFirst := c.next
	for i := range g.requests {
		r := &g.requests[i]
		r.first = c.next
		for j := range r.events {
			ev := &r.events[j]
			if len(frame) > frameHeaderBytes && len(frame)+recordBytes(&r.origin, ev) > l.opts.frameBytes {
				if err := l.endFrame(frame, frameFirst, c, 0); err != nil {
					return err
				}
				frame, frameFirst = frame[:frameHeaderBytes], c.next
			}
			frame = appendRecord(frame, l.gen, c.next, &r.origin, ev)
			c.next++
		}
	}
	err := l.endFrame(frame, frameFirst, c, flagGroupEnd)
	if cap(frame) <= 2*frameBytes {
		l.frame = frame // an event of many megabytes must not pin its buffer
	} else {
		l.frame = nil
	}
	return err
}

// endFrame completes the header of frame and writes it.
func (l *Log) endFrame(frame []byte, first Offset, c *commit, flags uint8) error {
	h := frameHeader{
		flags: flags, bodyBytes: uint32(len(frame) - frameHeaderBytes), count: uint32(c.next - first),
		seq: l.nextSeq, first: first, watermark: c.watermark, gen: l.gen,
	}
	size := int64(uvarintBytes(uint64(len(frame))) + len(frame))
	if l.ahead.follow(l.tailBytes + size) {
		h.flags |= flagZeros
	}
	putFrameHeader(frame, &h)
	made, err := l.writeFrame(frame)
	if err != nil {
		return err
	}
	c.bytes += size
	c.tail += size
	if made {
		c.sealed = append(c.sealed, c.tail)
		c.made = append(c.made, segment{seq: l.nextSeq, first: c.next, gen: l.gen})
		c.tail = 0
		// Before the next frame may make another one: names appear in order, so that a crash leaves no hole.
		return l.syncMade()
	}
	return nil
}

// writeFrame hands one frame to the library and reports whether that filled the segment, in which case
// the library has synced it and made the next one.
func (l *Log) writeFrame(frame []byte) (made bool, err error) {
	if err := l.lib.Write(l.nextSeq, frame); err != nil {
		return false, fmt.Errorf("write frame: %w", err)
	}
	l.nextSeq++
	l.tailBytes += int64(uvarintBytes(uint64(len(frame))) + len(frame))
	if l.tailBytes < l.opts.SegmentBytes {
		return false, nil
	}
	l.tailSeq, l.tailBytes = l.nextSeq, 0
	l.ahead.leave()
	l.made++
	return true, nil
}

// syncMade makes the name of a new segment durable, after a look that the library really made it: its
// appearance is known from a byte count, and a wrong count would leave a name without its fsync.
func (l *Log) syncMade() error {
	if _, err := os.Stat(filepath.Join(l.dir, segmentName(l.nextSeq))); err != nil {
		return fmt.Errorf("expected a new segment: %w", err)
	}
	return l.opts.syncDir(l.dir)
}

func uvarintBytes(v uint64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], v)
}

// publish moves the durable offset, after which readers see the group, and learns from its commit.
func (l *Log) publish(c *commit, appends int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(c.made) > 0 {
		segs := slices.Clone(l.segs)
		for i, size := range c.sealed {
			segs[len(segs)-1].size = size
			segs = append(segs, c.made[i])
		}
		l.segs = segs
	}
	l.active = c.tail
	l.durable = c.next - 1
	l.total += c.bytes
	l.lastSync = time.Now()
	l.company.committed(appends, l.queuedLocked(), took)
	l.announceLocked()
	l.publishMetrics()
}

func (l *Log) publishMetrics() {
	l.opts.Metrics.state(l.durable, l.total, len(l.segs))
}

// fail makes the log refuse appends and answers everything that is queued: nothing of that was written.
func (l *Log) fail(err error) {
	l.failures.Add(1)
	l.opts.Metrics.failed()
	l.opts.Logger.Error("commit failed; appends are refused until the log is open again", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
	for _, g := range l.queue {
		g.err = fmt.Errorf("%w: %w", ErrFailed, err)
		close(g.done)
	}
	l.queue = nil
}

// recover reopens the failed log on a new segment, trying again with back-off until it succeeds or the
// log is to close. The failed segment is never written again.
func (l *Log) recover(ctx context.Context) {
	// After a failed write or sync the library's state is not to be trusted, its Close error included.
	_ = l.lib.Close()
	l.lib = nil
	l.ahead.leave()
	wait := &backoff.ExponentialBackOff{InitialInterval: failureBackoffMin, MaxInterval: failureBackoffMax, Multiplier: 2, RandomizationFactor: 0.2}
	wait.Reset()
	for {
		err := l.discardUndurable()
		if err == nil {
			err = l.roomToRecover()
		}
		if err == nil {
			err = l.begin()
		}
		if err == nil {
			break
		}
		if l.isFailed() {
			l.mu.Lock()
			l.failure = err
			l.mu.Unlock()
		} else { // the library was only to be renewed
			l.fail(err)
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return // finish has nothing to close; the next start recovers
		}
	}
	l.mu.Lock()
	l.failure = nil
	l.mu.Unlock()
	l.opts.Logger.Info("log is open again", "durable_offset", l.durable)
}

// roomToRecover keeps a log whose disk ran full from being opened again before there is room for a few
// groups: it would fail with the next one.
func (l *Log) roomToRecover() error {
	l.mu.Lock()
	failure := l.failure
	l.mu.Unlock()
	if !errors.Is(failure, unix.ENOSPC) && !errors.Is(failure, unix.EDQUOT) {
		return nil
	}
	if free := freeBytes(l.dir); free >= 0 && free < 2*frameBytes {
		return fmt.Errorf("%d bytes free: %w", free, unix.ENOSPC)
	}
	return nil
}

func (l *Log) isFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure != nil
}

// discardUndurable removes the segments that the failed group made or began: they hold nothing that was
// acknowledged. Newest first, each with a directory fsync, so that a crash leaves no hole.
func (l *Log) discardUndurable() error {
	onDisk, err := listSegments(l.dir, "")
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(onDisk) {
		if s.seq < l.nextSeq {
			break
		}
		if err := l.unlink(filepath.Join(l.dir, s.name())); err != nil {
			return err
		}
	}
	return nil
}

// begin starts a life of the log: a new, empty segment behind everything durable, and the library on it.
func (l *Log) begin() error {
	err := createSegment(l.dir, l.nextSeq)
	if err != nil && !errors.Is(err, os.ErrExist) { // it exists when an earlier attempt failed half-way
		return err
	}
	if err := l.opts.syncDir(l.dir); err != nil {
		return err
	}
	lib, err := l.opts.library(l.dir, l.opts.SegmentBytes)
	if err != nil {
		return fmt.Errorf("open library: %w", err)
	}
	l.lib, l.tailSeq, l.tailBytes, l.made = lib, l.nextSeq, 0, 0
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.segs)
	if n > 0 && l.segs[n-1].seq == l.nextSeq {
		return nil // the active segment was empty, and was made again
	}
	segs := slices.Clone(l.segs)
	if l.running { // else all are of earlier lives and know their sizes
		segs[n-1].size = l.active
	}
	l.segs, l.active = append(segs, segment{seq: l.nextSeq, first: l.durable + 1, gen: l.gen}), 0
	return nil
}

// renew replaces the library's log, which remembers every segment that it ever made, by a fresh one.
func (l *Log) renew(ctx context.Context) {
	if err := l.lib.Close(); err != nil {
		l.fail(fmt.Errorf("close library: %w", err))
	}
	l.recover(ctx)
}
