package flush

import (
	"net/netip"
	"time"
)

// Stage says where on its way an event became a dead letter.
type Stage string

// The stages, in the order in which an event passes them.
const (
	StageIngest    Stage = "ingest"    // not an acceptable event; Event holds the client's bytes
	StageLog       Stage = "log"       // its bytes on disk are damaged; Kept points at them
	StageTransform Stage = "transform" // the script failed on it; Event holds the event
	StageIndex     Stage = "index"     // the destination refused the document; Event and Document hold both
)

// Letter is a dead letter: a settled record (or, for stage index, one document of it) kept with its cause.
type Letter struct {
	Key         Key        `json:"key"`
	Records     uint64     `json:"records"` // offsets it stands for, from Key.Offset on; 1 but for stage log
	Stage       Stage      `json:"stage"`
	Status      int        `json:"status,omitempty"`
	Type        string     `json:"type"`
	Reason      string     `json:"reason"`
	Attempts    int        `json:"attempts"`
	FirstAt     time.Time  `json:"first_at"`
	LastAt      time.Time  `json:"last_at"`
	Stream      string     `json:"stream"`
	Destination string     `json:"destination,omitempty"`
	Index       string     `json:"index,omitempty"`
	ID          string     `json:"id,omitempty"`
	Pipeline    string     `json:"pipeline,omitempty"`
	Routing     string     `json:"routing,omitempty"`
	Of          int        `json:"of,omitempty"`     // documents that the event had become; stage index
	Script      string     `json:"script,omitempty"` // version of the script that ran
	ReceivedAt  time.Time  `json:"received_at"`
	Remote      netip.Addr `json:"remote,omitzero"`
	Kept        string     `json:"kept,omitempty"` // stage log: file below repair/ with the damaged bytes
	// Event is the event as received, Document the document as sent; nil where there was none.
	// They are stored and shown byte for byte, beside the envelope and not inside its JSON.
	Event    []byte `json:"-"`
	Document []byte `json:"-"`
}
