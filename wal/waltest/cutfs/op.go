package cutfs

import (
	"fmt"
	"syscall"
)

// Kind says what an operation does.
type Kind uint8

// The operations that change what is on the disk, and those that only look. A mark is no operation: it says where in
// the order of operations something happened in the world outside.
const (
	Create   Kind = iota + 1 // a new, empty regular file Node under Name in directory Parent
	Mkdir                    // a new directory Node under Name in Parent
	Write                    // Data at Offset of file Node
	Truncate                 // file Node gets Size bytes; what is new is zero
	Allocate                 // fallocate: file Node has at least Size bytes on disk
	Rename                   // Name in Parent becomes NewName in NewParent, replacing what stood there
	Link                     // NewName in NewParent becomes another name of Node
	Unlink                   // Name leaves Parent
	Rmdir                    // Name, an empty directory, leaves Parent
	SyncFile                 // fsync or fdatasync of file Node
	SyncDir                  // fsync of directory Node
	Open                     // looking, from here on
	Read                     // Size bytes at Offset of Node
	List                     // of directory Node
	Stat
	StatFS
	Mark // Note, put there by Recording.Mark
)

// Op is one operation, in the order in which the file system carried it out. Its bytes belong to the recording.
type Op struct {
	Kind Kind
	// Node numbers files and directories from 1, the root, in order of appearance. A number is never given twice.
	Node uint64
	// Parent and Name say where; NewParent and NewName where to.
	Parent, NewParent uint64
	Name, NewName     string
	Offset, Size      int64
	Data              []byte
	// Err is what the process was told; 0 for success. An operation that failed changed nothing, but for a Write
	// whose Data is what was written all the same, and for a failed SyncFile, after which what had not reached the
	// disk never does (see Model).
	Err syscall.Errno
	// Injected says that the error came from a Fault.
	Injected bool
	// Note is the text of a Mark.
	Note string
}

// Changes reports whether operations of this kind change what is on the disk, or make it durable.
func (k Kind) Changes() bool { return k >= Create && k <= SyncDir }

var kindNames = [...]string{Create: "create", Mkdir: "mkdir", Write: "write", Truncate: "truncate", Allocate: "allocate", Rename: "rename", Link: "link",
	Unlink: "unlink", Rmdir: "rmdir", SyncFile: "fsync", SyncDir: "fsync directory", Open: "open", Read: "read", List: "list", Stat: "stat", StatFS: "statfs", Mark: "mark"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
