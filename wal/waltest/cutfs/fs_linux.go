package cutfs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ErrNotPossible is returned where the machine does not allow mounts.
var ErrNotPossible = errors.New("a file system in user space cannot be mounted here")

// Options of a mount. The zero value delays nothing.
type Options struct {
	// SyncDelay is how long an fsync waits before it takes effect: a program that answers too early is caught.
	SyncDelay time.Duration
}

// FS is a mounted directory that records. The process that works on it must be another one than the one that mounted
// it: a page of a mapped file that is missing would hold up the very scheduler that has to serve it.
type FS struct {
	*Recording
	opts   Options
	root   *fs.LoopbackRoot
	server *fuse.Server
	at     string // the mount point

	mu       sync.Mutex // held while an operation takes effect, so that the order of the recording is the true one
	numbers  map[inode]uint64
	plans    []*plan
	injected []Op
}

// inode names a file of the directory below: its number may be given again, its time of birth is not.
type inode struct{ ino, gen uint64 }

// Mount shows the directory backing at the directory mountpoint. What is in it now is taken for durable.
func Mount(backing, mountpoint string, opts Options) (*FS, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return nil, fmt.Errorf("mount %s: %w", backing, err)
	}
	f := &FS{Recording: &Recording{}, opts: opts, at: mountpoint, numbers: map[inode]uint64{}}
	base, err := readTree(backing, func(path string) (uint64, error) {
		id, err := inodeOf(path)
		return f.number(id), err
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", backing, err)
	}
	f.base = base
	f.root = &fs.LoopbackRoot{Path: backing, Dev: uint64(st.Dev)}
	root := &node{LoopbackNode: &fs.LoopbackNode{RootData: f.root}, fs: f}
	f.root.RootNode = root
	cache := time.Hour // nobody changes the directory but through the mount
	f.server, err = fs.Mount(mountpoint, root, &fs.Options{
		EntryTimeout: &cache, AttrTimeout: &cache,
		MountOptions: fuse.MountOptions{FsName: "cutfs", Name: "cutfs", DirectMount: true, MaxWrite: len(zeros), DisableXAttrs: true},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPossible, err)
	}
	return f, nil
}

// Close unmounts the directory, also when a process still looks at it.
func (f *FS) Close() error {
	if err := f.server.Unmount(); err == nil {
		return nil
	}
	if err := unix.Unmount(f.at, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", f.at, err)
	}
	return nil
}

// SetFaults replaces the faults. Operations are counted anew for each.
func (f *FS) SetFaults(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans = nil
	for _, fault := range faults {
		f.plans = append(f.plans, &plan{Fault: fault})
	}
}

// Injected returns the operations that faults hit.
func (f *FS) Injected() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.injected...)
}

// inodeOf finds out what go-fuse will take a file for.
func inodeOf(path string) (inode, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return inode{}, err
	}
	gen := uint64(st.Btime.Sec)*1e9 + uint64(st.Btime.Nsec)
	if gen == 0 {
		gen = 1
	}
	return inode{st.Ino, gen}, nil
}

// number returns the number of a file, a new one at the first time. Caller holds mu, or is alone.
func (f *FS) number(id inode) uint64 {
	n := f.numbers[id]
	if n == 0 {
		n = rootNode + 1 + uint64(len(f.numbers))
		f.numbers[id] = n
	}
	return n
}

// do carries an operation out, or lets it fail, and records it. path is below the mount. run may complete op.
func (f *FS) do(op Op, path string, run func(op *Op) syscall.Errno) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doLocked(op, path, run)
}

func (f *FS) doLocked(op Op, path string, run func(op *Op) syscall.Errno) syscall.Errno {
	var hit *plan
	for _, p := range f.plans {
		if p.hits(op.Kind, path) && hit == nil {
			hit = p
		}
	}
	if hit != nil {
		op.Injected = true
		if hit.Short && op.Kind == Write {
			op.Data = op.Data[:len(op.Data)/2]
			op.Err = run(&op)
			if op.Err == 0 {
				op.Err = hit.Err
			}
		} else {
			op.Err = hit.Err
			op.Data = nil
		}
		op.Name, op.Note = nameOr(op.Name, path), path
		f.injected = append(f.injected, op)
	} else {
		op.Err = run(&op)
	}
	f.add(op)
	return op.Err
}

func nameOr(name, path string) string {
	if name != "" {
		return name
	}
	return filepath.Base(path)
}

// node is a file or directory of the mount.
type node struct {
	*fs.LoopbackNode
	fs *FS
}

// WrapChild makes every file and directory below a node of ours.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	below, ok := ops.(*fs.LoopbackNode)
	if !ok {
		return ops
	}
	return &node{LoopbackNode: below, fs: n.fs}
}

func (n *node) rel() string { return n.Path(n.fs.root.RootNode.EmbeddedInode()) }

// id returns the node's number. Caller holds the file system's mu.
func (n *node) id() uint64 {
	if n.IsRoot() {
		return rootNode
	}
	return n.fs.number(idOf(n.EmbeddedInode()))
}

func idOf(i *fs.Inode) inode {
	a := i.StableAttr()
	return inode{a.Ino, a.Gen}
}

func (n *node) child(name string) string { return filepath.Join(n.rel(), name) }

// below returns the path of a child in the directory below.
func (n *node) below(name string) string { return filepath.Join(n.fs.root.Path, n.rel(), name) }

// entry begins an operation on a name in n. Caller holds mu.
func (n *node) entry(k Kind, name string) Op {
	op := Op{Kind: k, Parent: n.id(), Name: name}
	if id, err := inodeOf(n.below(name)); err == nil {
		op.Node = n.fs.number(id)
	}
	return op
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (child *fs.Inode, fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: Create, Parent: n.id(), Name: name}, n.child(name), func(op *Op) syscall.Errno {
		child, fh, fuseFlags, errno = n.LoopbackNode.Create(ctx, name, flags, mode, out)
		if errno == 0 {
			op.Node = n.fs.number(idOf(child))
		}
		return errno
	})
	return child, newHandle(fh), fuseFlags, errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	errno = n.fs.doLocked(Op{Kind: Mkdir, Parent: n.id(), Name: name}, n.child(name), func(op *Op) syscall.Errno {
		child, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		if errno == 0 {
			op.Node = n.fs.number(idOf(child))
		}
		return errno
	})
	return child, errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return n.fs.doLocked(n.entry(Unlink, name), n.child(name), func(*Op) syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) })
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return n.fs.doLocked(n.entry(Rmdir, name), n.child(name), func(*Op) syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) })
}

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags != 0 {
		return syscall.ENOSYS
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	op := n.entry(Rename, name)
	op.NewParent, op.NewName = to.id(), newName
	return n.fs.doLocked(op, n.child(name), func(*Op) syscall.Errno { return n.LoopbackNode.Rename(ctx, name, newParent, newName, flags) })
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	op := Op{Kind: Link, Node: n.fs.number(idOf(target.EmbeddedInode())), NewParent: n.id(), NewName: name}
	errno = n.fs.doLocked(op, n.child(name), func(*Op) syscall.Errno {
		child, errno = n.LoopbackNode.Link(ctx, target, name, out)
		return errno
	})
	return child, errno
}

// What the project never makes is refused, so that a recording leaves nothing out.

func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOTSUP
}
