package cutfs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

var _ interface {
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
	fs.NodeAllocater
	fs.NodeSetattrer
	fs.NodeStatfser
	fs.NodeOpendirHandler
} = (*node)(nil)

// handle is an open file. It hides from the kernel that a file lies below: reads and writes would pass us by.
type handle struct {
	fs.FileReader
	fs.FileWriter
	fs.FileAllocater
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileFlusher
	fs.FileReleaser
	fs.FileLseeker
}

func newHandle(fh fs.FileHandle) fs.FileHandle {
	f, ok := fh.(*fs.LoopbackFile)
	if !ok {
		return fh
	}
	return &handle{f, f, f, f, f, f, f, f}
}

func (n *node) Open(ctx context.Context, flags uint32) (fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: Open, Node: n.id()}, n.rel(), func(*Op) syscall.Errno {
		fh, fuseFlags, errno = n.LoopbackNode.Open(ctx, flags)
		return errno
	})
	fh = newHandle(fh)
	if errno == 0 && flags&syscall.O_TRUNC != 0 {
		n.fs.add(Op{Kind: Truncate, Node: n.id()})
	}
	return fh, fuseFlags, errno
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: List, Node: n.id()}, n.rel(), func(*Op) syscall.Errno {
		fh, fuseFlags, errno = n.LoopbackNode.OpendirHandle(ctx, flags)
		return errno
	})
	if errno != 0 {
		return nil, 0, errno
	}
	return &dirHandle{fh.(fs.FileReaddirenter), fh.(fs.FileReleasedirer), fh.(fs.FileSeekdirer), n}, fuseFlags, 0
}

// dirHandle is an open directory whose fsync comes to us.
type dirHandle struct {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
	node *node
}

func (d *dirHandle) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	return d.node.Fsync(ctx, d, flags)
}

func (n *node) Read(ctx context.Context, fh fs.FileHandle, dest []byte, off int64) (res fuse.ReadResult, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: Read, Node: n.id(), Offset: off, Size: int64(len(dest))}, n.rel(), func(*Op) syscall.Errno {
		res, errno = fh.(fs.FileReader).Read(ctx, dest, off)
		return errno
	})
	return res, errno
}

func (n *node) Write(ctx context.Context, fh fs.FileHandle, data []byte, off int64) (written uint32, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: Write, Node: n.id(), Offset: off, Data: kept(data)}, n.rel(), func(op *Op) syscall.Errno {
		written, errno = fh.(fs.FileWriter).Write(ctx, op.Data, off)
		op.Data = op.Data[:written]
		return errno
	})
	return written, errno
}

// kept copies bytes that belong to the request.
func kept(b []byte) []byte {
	if allZero(b) && len(b) <= len(zeros) {
		return zeros[:len(b)]
	}
	return append([]byte(nil), b...)
}

func (n *node) Allocate(ctx context.Context, fh fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.ENOTSUP
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return n.fs.doLocked(Op{Kind: Allocate, Node: n.id(), Size: int64(off + size)}, n.rel(), func(*Op) syscall.Errno {
		return fh.(fs.FileAllocater).Allocate(ctx, off, size, mode)
	})
}

func (n *node) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	size, ok := in.GetSize()
	if !ok {
		return n.LoopbackNode.Setattr(ctx, fh, in, out)
	}
	return n.fs.doLocked(Op{Kind: Truncate, Node: n.id(), Size: int64(size)}, n.rel(), func(*Op) syscall.Errno {
		return n.LoopbackNode.Setattr(ctx, fh, in, out)
	})
}

// Fsync is told for files and directories. The directory below is not fsynced: what is durable is the recording's affair.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if d := n.fs.opts.SyncDelay; d > 0 {
		time.Sleep(d)
	}
	kind := SyncFile
	if n.IsDir() {
		kind = SyncDir
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return n.fs.doLocked(Op{Kind: kind, Node: n.id()}, n.rel(), func(*Op) syscall.Errno { return 0 })
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) (errno syscall.Errno) {
	return n.fs.do(Op{Kind: StatFS}, "", func(*Op) syscall.Errno { return n.LoopbackNode.Statfs(ctx, out) })
}
