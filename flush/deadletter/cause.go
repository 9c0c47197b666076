package deadletter

import (
	"regexp"
	"strconv"
	"strings"
)

// CauseKind says which kind of trouble a destination's reason tells of, so that a remedy can be proposed.
type CauseKind string

// The kinds. What no sentence is known for is "".
const (
	CauseType      CauseKind = "type"      // the field's value does not fit its type in the mapping
	CauseObject    CauseKind = "object"    // an object where a value should be, or the other way round
	CauseStrict    CauseKind = "strict"    // the mapping takes no new fields
	CauseLimit     CauseKind = "limit"     // too many fields, or nested too deeply
	CauseName      CauseKind = "name"      // a field name that cannot be mapped
	CauseTooLong   CauseKind = "too_long"  // a value too long for its field
	CauseReserved  CauseKind = "reserved"  // a field that only the server may set, or that is an alias of another
	CauseDuplicate CauseKind = "duplicate" // a field is there twice
	CauseTimestamp CauseKind = "timestamp" // a data stream's document without one @timestamp
	CauseIndex     CauseKind = "index"     // the index cannot have this name
)

// Cause is a destination's reason taken apart.
type Cause struct {
	Kind   CauseKind
	Field  string // the field that it names, with dots between its parts; "" when it names none
	Wanted string // the type that the field has in the mapping; "" when it does not say
}

// sentence is how a server words a cause: before, the field, after. With wanted, the type follows, up to the next bracket.
// A field's name may hold brackets itself, which is why what follows the field is part of the sentence.
type sentence struct {
	kind          CauseKind
	before, after string
	wanted        bool
}

// sentences are those of Elasticsearch 7, 8.19 and 9.1 and of OpenSearch 2.19 and 3.8; cause_test.go has whole ones. A longer
// beginning stands before one that it begins with.
var sentences = []sentence{
	{CauseType, "failed to parse field [", "] of type [", true},
	{CauseType, "failed to parse field [", "]", false}, // cut off
	{CauseObject, "object mapping for [", "] tried to parse field [", false},
	{CauseType, "mapper [", "] cannot be changed from type [", true},
	{CauseType, "mapper [", "] of different type, current_type [", true},
	{CauseObject, "can't merge a non object mapping [", "] with an object mapping", false},
	{CauseObject, "can't merge an object mapping [", "] with a non object mapping", false},
	{CauseObject, "can't merge a non-nested mapping [", "] with a nested mapping", false},
	{CauseObject, "Could not dynamically add mapping for field [", "]. Existing mapping for [", false},
	{CauseTooLong, `Document contains at least one immense term in field="`, `" (whose`, false},
	{CauseReserved, "Cannot write to a field alias [", "]", false},
	{CauseReserved, "Field [", "] is a metadata field", false},
	{CauseName, "field name cannot contain only whitespace: ['", "']", false},
	{CauseName, "Field name cannot contain only whitespace: [", "]", false},
	{CauseName, "object field cannot contain only whitespace: ['", "']", false},
	{CauseName, "object field starting or ending with a [.] makes object resolution ambiguous: [", "]", false},
	{CauseName, "Field name [", "] is longer than the limit", false},
	{CauseName, "Field name [", "] in index [", false},
	{CauseName, "field name cannot", "", false},
	{CauseName, "name cannot be empty string", "", false},
	{CauseLimit, "Limit of total fields [", "", false},
	{CauseLimit, "Limit of mapping depth [", "", false},
	{CauseLimit, "Limit of nested fields [", "", false},
	{CauseLimit, "The depth of the field has exceeded", "", false},
	{CauseLimit, "The number of nested documents has exceeded", "", false},
	{CauseDuplicate, "Duplicate field '", "'", false},
	{CauseDuplicate, `Duplicate Object property "`, `"`, false},
	{CauseTimestamp, "data stream timestamp field [", "]", false},
	{CauseTimestamp, "documents must contain a single-valued timestamp field '", "'", false},
}

// Beginnings that say nothing of the cause: the place in the document, and the words of the exception around it.
var (
	documentPrefix = regexp.MustCompile(`^document \d+ of \d+, `) // weir's own, see refused
	placePrefix    = regexp.MustCompile(`^\[-?\d+:-?\d+\] `)
)

// ParseReason takes a destination's error type and reason apart. Reasons quote documents; only their beginnings are believed, so
// that an event cannot pass for another cause.
func ParseReason(typ, reason string) Cause {
	if typ == "invalid_index_name_exception" {
		return Cause{Kind: CauseIndex}
	}
	text := reason
	if strings.HasPrefix(text, "document ") && documentPrefix.MatchString(text) {
		if _, rest, ok := strings.Cut(text, ": "); ok {
			text = rest
		}
	}
	for range 3 { // "[1:35] failed to parse: [1:11] Duplicate field"
		if strings.HasPrefix(text, "[") {
			text = placePrefix.ReplaceAllString(text, "")
		}
		text = strings.TrimPrefix(text, "failed to parse: ")
	}
	if c, ok := parseStrict(text); ok {
		return c
	}
	for i := range sentences {
		if c, ok := sentences[i].parse(text); ok {
			return c
		}
	}
	return Cause{}
}

func (s *sentence) parse(text string) (Cause, bool) {
	rest, ok := strings.CutPrefix(text, s.before)
	if !ok {
		return Cause{}, false
	}
	c := Cause{Kind: s.kind}
	if s.after == "" {
		return c.atDepth(rest), true
	}
	field, rest, ok := strings.Cut(rest, s.after)
	if !ok {
		return Cause{}, false // another sentence, or one that was cut off in the field's name
	}
	c.Field = field
	if s.kind == CauseObject && strings.HasPrefix(s.before, "Could not dynamically") {
		parent, _, _ := strings.Cut(rest, "]")
		c.Field = below(parent, field)
	}
	if s.wanted {
		c.Wanted, _, _ = strings.Cut(rest, "]")
	}
	if strings.HasPrefix(c.Field, "_") && c.Wanted == c.Field {
		c.Kind, c.Wanted = CauseReserved, ""
	}
	if s.kind == CauseObject && s.before == "object mapping for [" {
		c.Wanted = "object"
	}
	return c, true
}

// below writes whole the field of a key with dots: [n.x] whose beginning is the field [o.n] is o.n.x.
func below(parent, key string) string {
	for i := len(key) - 1; i > 0; i-- {
		if begin := key[:i]; key[i] == '.' && (parent == begin || strings.HasSuffix(parent, "."+begin)) {
			return strings.TrimSuffix(parent, begin) + key
		}
	}
	return key
}

// depthLimits are how servers begin to say that objects are nested too deeply.
var depthLimits = regexp.MustCompile(`(?:Limit of mapping depth|The depth of the field has exceeded the allowed limit of) \[(\d+)\]`)

// depthLimit returns how deep objects may be nested, when a reason is about that; else 0.
func depthLimit(reason string) int {
	if found := depthLimits.FindStringSubmatch(reason); found != nil {
		limit, _ := strconv.Atoi(found[1]) // the largest number when it is larger
		return limit
	}
	return 0
}

// atDepth adds the field at which a limit of depth was met.
func (c Cause) atDepth(rest string) Cause {
	if _, field, ok := strings.Cut(rest, "] has been exceeded due to object field ["); ok && c.Kind == CauseLimit {
		c.Field = strings.TrimSuffix(field, "]")
	}
	return c
}

// parseStrict reads "mapping set to strict, dynamic introduction of [foo] within [o] is not allowed", whose field is o.foo.
func parseStrict(text string) (Cause, bool) {
	rest, ok := strings.CutPrefix(text, "mapping set to ")
	if !ok {
		return Cause{}, false
	}
	_, rest, ok = strings.Cut(rest, "dynamic introduction of [")
	if !ok {
		return Cause{}, false
	}
	name, within, ok := strings.Cut(rest, "] within [")
	if !ok {
		return Cause{}, false
	}
	within, _, _ = strings.Cut(within, "] is not allowed")
	if within != "_doc" {
		name = within + "." + name
	}
	return Cause{Kind: CauseStrict, Field: name}, true
}
