package cutfs

import "math/rand/v2"

// Tear says how much of a write that nobody waited for reached the disk.
type Tear uint8

const (
	whole   Tear = iota // all of it
	cut                 // a prefix; the file ends there, or goes on with what was there before
	zeroed              // the size grew, the bytes did not come, from the write's beginning or from a page border on
	garbage             // bytes that nobody wrote, from the write's beginning or from a page border on
	sectors             // each sector of 512 bytes is new or old by itself
	tears
)

var tearNames = [...]string{whole: "whole", cut: "cut", zeroed: "zeroed", garbage: "garbage", sectors: "sector by sector"}

func (t Tear) String() string { return tearNames[t] }

const (
	sectorBytes = 512
	pageBytes   = 4096
)

// tear returns what a torn write leaves: the bytes that stand at its place. before is the file without it.
func tear(t Tear, op *Op, before content, rng *rand.Rand) []byte {
	if t != cut && len(op.Data) <= len(zeros) && &op.Data[0] == &zeros[0] {
		return op.Data // a filling of zeros says nothing; it stays cheap
	}
	switch t {
	case cut:
		return op.Data[:rng.IntN(len(op.Data))]
	case zeroed, garbage:
		b := append([]byte(nil), op.Data...)
		from := 0
		if first := int(pageBytes - op.Offset%pageBytes); rng.IntN(2) == 0 && first < len(b) {
			from = first + rng.IntN((len(b)-first-1)/pageBytes+1)*pageBytes
		}
		for i := from; i < len(b); i++ {
			b[i] = 0
			if t == garbage {
				b[i] = byte(rng.Uint32())
			}
		}
		return b
	case sectors:
		b := append([]byte(nil), op.Data...)
		old := before.at(op.Offset, len(b))
		for i := 0; i < len(b); {
			next := min(len(b), i+int(sectorBytes-(op.Offset+int64(i))%sectorBytes))
			if rng.IntN(2) == 0 {
				copy(b[i:next], old[i:next])
			}
			i = next
		}
		return b
	}
	return op.Data
}
