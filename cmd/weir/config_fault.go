package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// origin says where a value comes from.
type origin struct {
	file     string // set with line: the configuration file
	line     int
	variable string // name of the environment variable
	flag     string // name of the flag, without dashes
	derived  string // key that the value was taken or computed from
}

// origins maps a key's path to its origin; a path that is missing holds its default.
type origins map[string]origin

func (o origin) String() string {
	switch {
	case o.flag != "":
		return "flag --" + o.flag
	case o.variable != "":
		return "environment " + o.variable
	case o.file != "" && o.line > 0:
		return fmt.Sprintf("%s:%d", o.file, o.line)
	case o.file != "":
		return o.file
	case o.derived != "":
		return "from " + o.derived
	}
	return "default"
}

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	Origin  origin
	Key     string // path of the key; "" when the fault is about the whole
	Message string // what is wrong and what would be right; never a secret
}

func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Origin.String())
	if f.Key != "" {
		b.WriteString(": " + f.Key)
	}
	return b.String() + ": " + f.Message
}

// ConfigError holds every fault of a configuration: those of the file by line, then environment, then flags.
type ConfigError struct {
	Faults []Fault
}

func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration has %d faults:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// flagsOnly reports whether the command line alone is to blame.
func (e *ConfigError) flagsOnly() bool {
	return !slices.ContainsFunc(e.Faults, func(f Fault) bool { return f.Origin.flag == "" })
}

func sortFaults(faults []Fault) {
	rank := func(o origin) int {
		switch {
		case o.flag != "":
			return 3
		case o.variable != "":
			return 2
		case o.file != "":
			return 0
		}
		return 1
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(rank(a.Origin), rank(b.Origin)), cmp.Compare(a.Origin.line, b.Origin.line),
			cmp.Compare(a.Origin.variable, b.Origin.variable), cmp.Compare(a.Origin.flag, b.Origin.flag),
			cmp.Compare(a.Key, b.Key))
	})
}
