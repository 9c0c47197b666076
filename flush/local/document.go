package local

import (
	"strings"
	"sync"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// Fields that the store makes itself. Members of events by these names are found without a name only.
const (
	fieldID       = "_id"          // document id, NUL, index
	fieldAll      = "_all"         // every token of every value
	fieldIndex    = "_index"       // whole
	fieldStream   = "_stream"      // whole
	fieldReceived = "_received_at" // time
	fieldOrder    = "_order"       // place in the order by receive time, as doc value
	fieldSource   = "_source"      // stored only

	aliasReceived = "received_at" // what queries call fieldReceived
)

// once stands for the occurrence of every term. Nothing is ranked, so how often a term occurs is not kept;
// a frequency of 0 says so to the library, which then stores no norm either.
var once = &index.TokenFreq{}

const indexed = index.IndexField | index.SkipFreqNorm

// field is a field of a document with its terms, ready for the index.
type field struct {
	name    string
	options index.FieldIndexingOptions
	terms   index.TokenFrequencies
	value   []byte
}

var _ index.Field = (*field)(nil)

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {} // done when it was built
func (f *field) Options() index.FieldIndexingOptions              { return f.options }
func (f *field) AnalyzedLength() int                              { return len(f.terms) }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }

// document is what the index takes in for one flush.Document.
type document struct {
	id     string
	order  uint64
	fields []field
	bytes  int
}

var _ index.Document = (*document)(nil)

func (d *document) ID() string         { return d.id }
func (d *document) Size() int          { return d.bytes }
func (d *document) HasComposite() bool { return false }
func (d *document) AddIDField()        {} // is among the fields
func (d *document) Indexed() bool      { return true }

func (d *document) NumPlainTextBytes() uint64                    { return 0 }
func (d *document) StoredFieldsBytes() uint64                    { return 0 }
func (d *document) VisitComposite(_ index.CompositeFieldVisitor) {}
func (d *document) VisitFields(visit index.FieldVisitor) {
	for i := range d.fields {
		visit(&d.fields[i])
	}
}

// identity is the key of a document in the store: like in Elasticsearch, an id names a document within
// its index. The id comes first so that a search for the id is a search for a prefix.
func identity(doc *flush.Document) string { return documentID(doc) + "\x00" + doc.Index }

func documentID(doc *flush.Document) string {
	if doc.ID == "" {
		return doc.Key.ID()
	}
	return doc.ID
}

func splitIdentity(s string) (id, indexName string) {
	id, indexName, _ = strings.Cut(s, "\x00")
	return id, indexName
}

// orderOf places a document among all: by the millisecond of its arrival, then by its offset. Always
// below 1<<63.
func orderOf(received time.Time, offset uint64) uint64 {
	ms := max(0, min(clampNano(received)/int64(time.Millisecond), 1<<41-1))
	return uint64(ms)<<22 | offset&(1<<22-1)
}

// builder makes documents. What they hold lives in the builder and is reused by reset, so a builder
// serves one batch at a time.
type builder struct {
	docs   []document
	used   int
	arena  arena
	few    []index.TokenFrequencies // free for use, of at most fewTerms
	many   []index.TokenFrequencies // free for use as _all
	names  *fieldNames
	walker walker
	slots  map[string]int // field name -> position in fields, of the document in hand
	scan   tokenizer
}

var builders = sync.Pool{New: func() any {
	b := &builder{slots: make(map[string]int)}
	b.walker.visit = b.visit
	return b
}}

func newBuilder(names *fieldNames) *builder {
	b := builders.Get().(*builder)
	b.names = names
	return b
}

// reserve makes room for n documents, so that those made stay where they are.
func (b *builder) reserve(n int) {
	if b.used+n > len(b.docs) {
		b.docs = append(b.docs[:b.used], make([]document, n)...)
	}
}

// release gives the builder back; no document of it may be in use any more.
func (b *builder) release() {
	for i := range b.docs[:b.used] {
		d := &b.docs[i]
		for j := range d.fields {
			b.recycle(d.fields[j].terms, j == 1)
		}
		clear(d.fields)
		d.fields = d.fields[:0]
		d.id = ""
	}
	b.used = 0
	b.arena.reset()
	b.names = nil
	builders.Put(b)
}

// A map costs its largest size, not what is in it, each time it is walked. So maps are only used again for
// what is of the size they have.
const (
	fewTerms  = 8
	manyTerms = 256
)

func (b *builder) recycle(terms index.TokenFrequencies, all bool) {
	switch n := len(terms); {
	case terms == nil || len(b.few)+len(b.many) > 32*batchDocuments:
	case all && n <= manyTerms:
		clear(terms)
		b.many = append(b.many, terms)
	case !all && n <= fewTerms:
		clear(terms)
		b.few = append(b.few, terms)
	}
}

// add builds the document and returns it. It reads doc during the call only. Room was reserved before.
func (b *builder) add(doc *flush.Document, id string) *document {
	d := &b.docs[b.used]
	b.used++
	d.id, d.order = id, orderOf(doc.ReceivedAt, uint64(doc.Key.Offset))
	d.bytes = len(doc.Source)

	b.meta(d, fieldID, index.IndexField|index.StoreField, id)
	d.fields[0].value = append(b.arena.grab(len(id)), id...)
	b.newField(d, fieldAll, indexed) // tokens finds it at fields[1]
	b.meta(d, fieldIndex, indexed, b.arena.copy(doc.Index))
	b.meta(d, fieldStream, indexed, b.arena.copy(doc.Stream))
	b.meta(d, fieldOrder, indexed|index.DocValues, stringOf(appendOrder(b.arena.grab(orderBytes), d.order)))
	b.times(b.newField(d, fieldReceived, indexed), doc.ReceivedAt)
	d.fields = append(d.fields, field{name: fieldSource, options: index.StoreField, value: appendStored(b.arena.grab(storedSize(doc)), doc)})

	clear(b.slots)
	b.walker.walk(doc.Source)
	return d
}

// meta adds a field of one whole term.
func (b *builder) meta(d *document, name string, options index.FieldIndexingOptions, term string) {
	b.newField(d, name, options).terms[term] = once
}

func (b *builder) newField(d *document, name string, options index.FieldIndexingOptions) *field {
	free := &b.few
	if name == fieldAll {
		free = &b.many
	}
	var terms index.TokenFrequencies
	if n := len(*free); n > 0 {
		terms, *free = (*free)[n-1], (*free)[:n-1]
	} else {
		terms = make(index.TokenFrequencies)
	}
	d.fields = append(d.fields, field{name: name, options: options, terms: terms})
	return &d.fields[len(d.fields)-1]
}

// visit indexes one value under its name and without.
func (b *builder) visit(path []byte, kind rawjson.Kind, text []byte) bool {
	d := &b.docs[b.used-1]
	at := b.field(d, path)
	switch kind {
	case rawjson.Number:
		if f, ok := parseNumber(text); ok && at >= 0 {
			b.prefixes(&d.fields[at], kindNumber, sortableFloat(f))
			at = -1 // its spelling is found without a name
		}
	case rawjson.String:
		if t, _, ok := parseTime(text); ok && at >= 0 {
			b.times(&d.fields[at], t)
			return true // a time is looked for by its field
		}
	}
	b.tokens(d, at, text)
	return true
}

// field returns the position of the field named by path in the document in hand, -1 where the value
// gets no name.
func (b *builder) field(d *document, path []byte) int {
	if len(path) == 0 {
		return -1
	}
	if at, ok := b.slots[string(path)]; ok {
		return at
	}
	if len(b.slots) >= MaxFields {
		return -1
	}
	name, ok := b.names.intern(path)
	if !ok {
		return -1
	}
	b.newField(d, name, indexed)
	at := len(d.fields) - 1
	b.slots[name] = at
	return at
}

// tokens adds the tokens of text to _all and, unless at is -1, to the field there.
func (b *builder) tokens(d *document, at int, text []byte) {
	all := d.fields[1].terms
	var own index.TokenFrequencies
	if at >= 0 {
		own = d.fields[at].terms
	}
	b.scan.text = text
	for {
		tok, ok := b.scan.next()
		if !ok {
			return
		}
		_, inAll := all[string(tok)]
		if inAll && own == nil {
			continue
		}
		if _, inOwn := own[string(tok)]; inOwn {
			continue
		}
		term := stringOf(append(b.arena.grab(len(tok)), tok...))
		if !inAll {
			all[term] = once
		}
		if own != nil {
			own[term] = once
		}
	}
}

func (b *builder) times(f *field, t time.Time) { b.prefixes(f, kindTime, sortableTime(t)) }

func (b *builder) prefixes(f *field, kind byte, v uint64) {
	for _, n := range prefixesOf(kind) {
		term := stringOf(appendValueTerm(b.arena.grab(valueTermBytes), kind, v, n))
		f.terms[term] = once
	}
}
