package stdlib

import (
	"fmt"
	"slices"
	"strings"

	"github.com/elastic/go-grok/patterns"
)

// usualPatterns are those of Logstash with the field names of ECS, from a library. Only its texts are of
// use here: its own matcher can neither be interrupted nor bounded.
var usualPatterns = []map[string]string{
	supplement, patterns.Default, patterns.Httpd, patterns.Syslog, patterns.AWS, patterns.Bind9, patterns.Bro, patterns.Exim,
	patterns.Firewalls, patterns.HAProxy, patterns.Java, patterns.Junos, patterns.Maven, patterns.MCollective,
	patterns.MongoDB, patterns.PostgreSQL, patterns.Rails, patterns.Redis, patterns.Ruby, patterns.Squid,
}

// supplement goes before the library's: patterns that Logstash has and the library has not; patterns that lost parts of
// what they have there, such as the program of a syslog line and the path of a site's root; and one that the library
// writes in 2,200 instructions, which makes every pattern with an address slow. This one takes the same addresses, and
// some with more than eight groups around a :: as well.
var supplement = map[string]string{
	"IPV6GROUP":  `[0-9A-Fa-f]{1,4}`,
	"IPV6":       `(?:(?:%{IPV6GROUP}:){7}%{IPV6GROUP}|(?:%{IPV6GROUP}:){6}%{IPV4}|(?:%{IPV6GROUP}(?::%{IPV6GROUP}){0,6})?::(?:(?:%{IPV6GROUP}:){0,6}(?:%{IPV4}|%{IPV6GROUP}))?)(?:%[0-9A-Za-z.-]+)?`,
	"MONTHNUM2":  `0[1-9]|1[0-2]`,
	"SYSLOG5424": `%{SYSLOG5424LINE}`,

	"SYSLOGPROG":     `%{PROG:process.name}(?:\[%{POSINT:process.pid:int}\])?`,
	"SYSLOGFACILITY": `<%{NONNEGINT:log.syslog.facility.code:int}.%{NONNEGINT:log.syslog.priority:int}>`,
	"URIPATH":        `(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_\-]*)+`,
	"UNIXPATH":       `(?:/[\w%!$@:.,+~-]*)+`,
	"MONTHNUM":       `0[1-9]|1[0-2]|[1-9]`,
	"BASE10NUM":      `[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)`,
}

// expander writes a grok pattern as a RE2 pattern: what it refers to stands in place of the references, and
// of the groups only those with names capture.
type expander struct {
	definitions map[string]string
	out         strings.Builder
	fields      []Field
	within      []string // the patterns that are being expanded, the outermost first
}

// expand appends one pattern.
func (x *expander) expand(p string) error {
	for i := 0; i < len(p); {
		n, err := x.item(p[i:])
		if err != nil {
			return err
		}
		if x.out.Len() > maxExpanded {
			return fmt.Errorf("the pattern has more than %d bytes with all that it refers to", maxExpanded)
		}
		i += n
	}
	return nil
}

// item appends what p begins with, and returns how many bytes of p it was.
func (x *expander) item(p string) (int, error) {
	n := 1
	switch {
	case strings.HasPrefix(p, `\Q`):
		quoted, _, _ := strings.Cut(p[2:], `\E`)
		x.out.WriteString(`\Q` + quoted + `\E`)
		return min(len(quoted)+4, len(p)), nil
	case p[0] == '\\':
		n = min(2, len(p))
	case p[0] == '[':
		n = classLength(p)
	case strings.HasPrefix(p, "(?<=") || strings.HasPrefix(p, "(?<!"):
		n = 3 // the compiler says that there is no such thing
	case strings.HasPrefix(p, "(?<") || strings.HasPrefix(p, "(?P<"):
		return x.namedGroup(p)
	case strings.HasPrefix(p, "(?"):
		n = 2
	case p[0] == '(':
		x.out.WriteString("(?:")
		return 1, nil
	case strings.HasPrefix(p, "%{"):
		return x.reference(p)
	}
	x.out.WriteString(p[:n])
	return n, nil
}

// classLength is the length of the class [...] at the beginning of p.
func classLength(p string) int {
	i := 1
	if i < len(p) && p[i] == '^' {
		i++
	}
	for first := true; i < len(p); first = false {
		switch {
		case p[i] == ']' && !first:
			return i + 1
		case p[i] == '\\':
			i += 2
		case strings.HasPrefix(p[i:], "[:"):
			if end := strings.Index(p[i:], ":]"); end > 0 {
				i += end + 2
			} else {
				i += 2
			}
		default:
			i++
		}
	}
	return len(p)
}

// namedGroup opens (?<name>...) as a field.
func (x *expander) namedGroup(p string) (int, error) {
	from := strings.IndexByte(p, '<') + 1
	name, _, ok := strings.Cut(p[from:], ">")
	if !ok {
		return 0, fmt.Errorf("a group without the end of its name: %s", Excerpt(p))
	}
	return from + len(name) + 1, x.open(name, Text)
}

// open opens a group that captures a field.
func (x *expander) open(name string, t Type) error {
	path, err := fieldPath(name)
	if err != nil {
		return err
	}
	if len(x.fields) == maxGrokFields {
		return fmt.Errorf("the pattern has more than %d fields", maxGrokFields)
	}
	x.fields = append(x.fields, Field{Path: path, Type: t})
	x.out.WriteByte('(')
	return nil
}

// reference expands %{NAME}, %{NAME:field} or %{NAME:field:type}.
func (x *expander) reference(p string) (int, error) {
	inner, _, ok := strings.Cut(p[2:], "}")
	parts := strings.SplitN(inner, ":", 4)
	if !ok || len(parts) > 3 {
		return 0, fmt.Errorf("a reference is %%{NAME}, %%{NAME:field} or %%{NAME:field:type}, not %s", Excerpt(p))
	}
	definition, err := x.lookUp(parts[0])
	if err != nil {
		return 0, err
	}
	if len(parts) == 1 {
		x.out.WriteString("(?:")
	} else if err := x.openReference(parts[1:]); err != nil {
		return 0, err
	}
	x.within = append(x.within, parts[0])
	if err := x.expand(definition); err != nil {
		return 0, err
	}
	x.within = x.within[:len(x.within)-1]
	x.out.WriteByte(')')
	return len(inner) + 3, nil
}

func (x *expander) openReference(nameAndType []string) error {
	t := Text
	if len(nameAndType) > 1 {
		var ok bool
		if t, ok = typeNames[nameAndType[1]]; !ok {
			return fmt.Errorf("the field %s cannot be of type %q; there are int, float and bool", nameAndType[0], Excerpt(nameAndType[1]))
		}
	}
	return x.open(nameAndType[0], t)
}

// lookUp finds the pattern of a name that stands in x.within.
func (x *expander) lookUp(name string) (string, error) {
	if at := slices.Index(x.within, name); at >= 0 {
		return "", fmt.Errorf("the pattern %s refers to itself: %s", name, strings.Join(append(x.within[at:], name), " > "))
	}
	if len(x.within) == maxReferences {
		return "", fmt.Errorf("patterns refer to each other more than %d deep", maxReferences)
	}
	if p, ok := x.definitions[name]; ok {
		return p, nil
	}
	for _, set := range usualPatterns {
		if p, ok := set[name]; ok {
			return strings.ReplaceAll(p, "___", "."), nil // how the library writes dots in the names of groups
		}
	}
	return "", fmt.Errorf("there is no grok pattern %q", Excerpt(name))
}
