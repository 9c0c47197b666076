// Package baseline holds what weir is compared with. The servers answer as weir does, byte for byte
// in the body, and do as little as possible for it.
//
//	Noop  fasthttp; reads the body and answers. The ceiling of what an HTTP server of this kind can take.
//	Bare  fasthttp; length, CRC-32C and body go to a file, one write and one fdatasync for all requests
//	      that wait, then it answers. No validation, no delivery, no recovery: the least that a durable
//	      acknowledgement can cost.
//	Disk  no server: a loop of one write and one fdatasync of the same bytes. What the disk takes from a plain append.
//
// Invariants
//
//	B1  Bare answers 202 only after its fdatasync returned without error; after a failure it answers 503.
//	B2  Noop and Bare answer {"accepted":N} with N from the options; whoever sends must send N events a request.
//
// Handlers may be called concurrently. Bare owns one goroutine, which ends with Close.
package baseline
