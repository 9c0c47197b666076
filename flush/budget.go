package flush

// budget bounds the event bytes of all batches together. Half of it is dealt out evenly: each lane can always have its
// part, whatever the others hold, so that a destination that takes nothing leaves the others room. The rest
// goes to whoever comes first. Guarded by Flusher.mu.
type budget struct {
	part   int64 // of each lane
	common int64 // of the rest, what is not taken
}

func newBudget(total int64, lanes int) budget {
	part := max(total/int64(2*max(lanes, 1)), 1)
	return budget{part: part, common: max(total-part*int64(lanes), 0)}
}

// take gives up to want bytes to one who holds *used already. It gives nothing rather than less than both want and a part.
func (b *budget) take(used *int64, want int64) int64 {
	own := max(b.part-*used, 0)
	given := min(want, own+b.common)
	if given < min(want, b.part) {
		return 0
	}
	*used += given
	b.common -= max(given-own, 0)
	return given
}

// giveBack returns n bytes that take gave.
func (b *budget) giveBack(used *int64, n int64) {
	beyond := max(*used-b.part, 0) // what is held of the common part
	*used -= n
	b.common += min(n, beyond)
}
