package wal

import (
	"reflect"
	"unsafe"

	twal "github.com/tidwall/wal"
)

// recycler is the library's log with its buffers used again. The library keeps all bytes of its active
// segment in a buffer that it grows from nothing, by a quarter at a time, for each segment, and those of the
// one before in a cache. Nobody reads either: our readers read files. Measured, that was three quarters of
// all bytes that weir allocated (docs/benchmarks.md). The buffer of the segment that has just left the cache
// is therefore given to the new one.
//
// The buffer is an unexported field, reached by its reflected offset. A version of the library that keeps
// it elsewhere or otherwise is noticed by layoutKnown, and then nothing is recycled; TestRecycler fails
// then, too. Committer only.
type recycler struct {
	*twal.Log
	active, sealed []byte // buffers of the active segment and of the one in the cache
}

var _ library = (*recycler)(nil)

var segmentsField, bufferField, layoutKnown = libraryLayout()

// libraryLayout finds Log.segments ([]*segment) and segment.ebuf ([]byte).
func libraryLayout() (segments, buffer reflect.StructField, known bool) {
	segments, known = reflect.TypeFor[twal.Log]().FieldByName("segments")
	if !known || segments.Type.Kind() != reflect.Slice || segments.Type.Elem().Kind() != reflect.Pointer || segments.Type.Elem().Elem().Kind() != reflect.Struct {
		return segments, buffer, false
	}
	buffer, known = segments.Type.Elem().Elem().FieldByName("ebuf")
	return segments, buffer, known && buffer.Type == reflect.TypeFor[[]byte]()
}

// Write gives a segment that is still empty the buffer that is free, and remembers what it has grown to.
func (r *recycler) Write(index uint64, data []byte) error {
	if !layoutKnown {
		return r.Log.Write(index, data)
	}
	buffer := r.activeBuffer()
	if len(*buffer) == 0 {
		r.active, r.sealed = r.sealed, r.active
		*buffer = r.active[:0]
	}
	if err := r.Log.Write(index, data); err != nil {
		return err
	}
	// The segment may be full now, and another one active; it keeps its buffer in the cache until that one is full.
	if len(*buffer) > 0 {
		r.active = *buffer
	}
	return nil
}

func (r *recycler) activeBuffer() *[]byte {
	segments := *(*[]unsafe.Pointer)(unsafe.Add(unsafe.Pointer(r.Log), segmentsField.Offset))
	return (*[]byte)(unsafe.Add(segments[len(segments)-1], bufferField.Offset))
}
