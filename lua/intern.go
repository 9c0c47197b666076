package lua

import (
	"hash/maphash"

	glua "github.com/yuin/gopher-lua"
)

const (
	// internedTexts is how many texts are remembered; a new one takes the place of another.
	internedTexts = 256
	// internedBytes is the length of the longest of them.
	internedBytes = 24
)

// texts remembers short strings of earlier events as Lua values: the levels, channels and services of logs are few, and
// a string that is made a value costs two allocations. A script cannot tell, and pays for its memory all the same.
// The zero value is ready. For one goroutine at a time.
type texts [internedTexts]glua.LValue

var textSeed = maphash.MakeSeed()

// value returns the Lua string of b, which it does not keep.
func (t *texts) value(b []byte) glua.LValue {
	if len(b) > internedBytes {
		return glua.LString(b)
	}
	slot := &t[maphash.Bytes(textSeed, b)%internedTexts]
	if s, ok := (*slot).(glua.LString); ok && string(s) == string(b) {
		return *slot
	}
	v := glua.LString(b)
	*slot = v
	return *slot
}
