// Package rawjson finds its way in JSON text that is known to be valid, without decoding it.
//
// The ingest edge has checked every event strictly before it reached the log, so delivery need not
// check again: it looks for the ends of values and copies bytes.
//
// Invariants
//
//	J1  No function changes the bytes that it is given, and none keeps them.
//	J2  Values come back as slices of the input, without white space around them.
//	J3  Nothing panics, loops for ever or reads outside the input, whatever the input is. Text that is
//	    not JSON gives ok == false where the function notices, and some part of the text where it does not.
//	J4  Work is linear in the input and needs no stack in proportion to nesting.
//	J5  Nothing allocates but the functions named Append..., when dst is too small.
//
// All functions are safe for concurrent use on bytes that nobody writes to. Iterators are not.
//
// The package does not validate, does not convert numbers and does not build trees.
package rawjson
