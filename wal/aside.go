package wal

// AsideKind says why something was set aside.
type AsideKind string

const (
	// AsideTorn is bytes behind the last whole group: what was being written when a process or a machine died. Nobody was
	// told that it is safe.
	AsideTorn AsideKind = "torn"
	// AsideDamage is bytes that were durable and cannot be read any more.
	AsideDamage AsideKind = "damage"
	// AsideLostEnd is an end that is known to have been there (Options.KnownEnd, the durable mark) and is not: First to Last.
	AsideLostEnd AsideKind = "lost_end"
)

// Aside tells whoever opened a log what of it cannot be used and where it is kept.
type Aside struct {
	Kind AsideKind
	CorruptionError
}

func (o *Options) tellAside(kind AsideKind, what CorruptionError) {
	if o.OnAside != nil {
		o.OnAside(Aside{kind, what})
	}
}
