package stdlib

// Spend counts steps of work, each some 30 ns; false means that there is no time left, and the caller is
// to return at once with whatever it has. Who passed the Spend knows that the result is worth nothing.
type Spend func(steps int) bool
