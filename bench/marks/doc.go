// Package marks gives each event of a load a mark of its own and finds it again in whatever a shipper makes of the event,
// so that what was acknowledged can be held against what arrived, event by event.
//
// A mark is 28 letters and digits: "weirmark", the run (8 hexadecimal digits), the number of the event (12). No JSON encoder
// escapes any of them, so it is found in a nested field as well as in an event that became a string in a string.
//
//	sender:  Ledger.Take -> Put into the request -> an answer -> Ledger.Acknowledge
//	sink:    Arrivals.Document for each document
//	verdict: Ledger.Compare(what the sink knows)
//
// Invariants
//
//	K1  Numbers of a run are dense, from 0, and given once.
//	K2  A document counts once for each different mark in it, however often the mark stands there.
//	K3  A document with the id that the event arrived with before is the same document, not a second copy: a
//	    destination would have refused it, or put it into the first one's place.
//	K4  Marks of another run count as strays only: they are late events of a round that is over.
//
// Ledger and Arrivals are safe for concurrent use. What is not noticed: two events that a shipper gives the same id, of
// which a real destination would keep one.
package marks
