package main

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxShadowEvents   = 100_000
	maxRollbackEvents = 1_000_000
	maxRollbackWindow = 7 * 24 * time.Hour
	maxVersionField   = 255 // bytes
)

func (v *validator) transform() {
	t := v.cfg.Transform
	v.scriptTimeout("transform.timeout", t.Timeout)
	v.scriptMemory("transform.max_memory", t.MaxMemory)
	v.intWithin("transform.shadow_events", t.ShadowEvents, 0, maxShadowEvents)
	v.intWithin("transform.rollback_min_events", t.RollbackMinEvents, 1, maxRollbackEvents)
	v.timeWithin("transform.rollback_window", t.RollbackWindow, time.Second, maxRollbackWindow)
	switch name := t.VersionField; {
	case len(name) > maxVersionField || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name):
		v.add("transform.version_field", "%q cannot name a field; use at most %d bytes of printable text", name, maxVersionField)
	case name == "@timestamp" || strings.HasPrefix(name, "_"):
		v.add("transform.version_field", "%q is a field of the destination's own; choose another name", name)
	}
}

// streamTransform checks the limits that a stream sets itself. Those that it takes over are told once, where they are set.
func (v *validator) streamTransform(stream string, t *StreamTransformConfig) {
	prefix := "streams." + stream + ".transform."
	if v.cfg.origins[prefix+"timeout"].derived == "" {
		v.scriptTimeout(prefix+"timeout", t.Timeout)
	}
	if v.cfg.origins[prefix+"max_memory"].derived == "" {
		v.scriptMemory(prefix+"max_memory", t.MaxMemory)
	}
}

func (v *validator) scriptTimeout(key string, value Duration) {
	v.timeWithin(key, value, time.Millisecond, time.Minute)
}

func (v *validator) scriptMemory(key string, value Bytes) { v.sizeWithin(key, value, 64<<10, 4<<30) }
