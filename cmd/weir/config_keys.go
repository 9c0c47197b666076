package main

import (
	"reflect"
	"strings"
)

// configKey is one key of the configuration, found by walking the Config type.
type configKey struct {
	path string // wal.segment_bytes; streams.*.transform.script for those of a stream
	typ  reflect.Type
}

const streamsPrefix = "streams.*."

// configKeys lists every key in the order in which Config declares them.
var configKeys = collectKeys(reflect.TypeFor[Config](), "")

// keyTypes finds a key's type by its path; configSections holds the path of every section.
var keyTypes, configSections = indexKeys(configKeys)

// renamedKeys says what to write in place of keys of earlier versions.
var renamedKeys = map[string]string{
	"flush.workers": "flush.max_in_flight says how many requests may be under way, and how many are follows from how the destination takes them",
}

func collectKeys(t reflect.Type, prefix string) []configKey {
	var keys []configKey
	for f := range t.Fields() {
		name := f.Tag.Get("koanf")
		if name == "" || name == "-" {
			continue
		}
		path := prefix + name
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, collectKeys(f.Type, path+".")...)
		case f.Type.Kind() == reflect.Map:
			keys = append(keys, collectKeys(f.Type.Elem(), path+".*.")...)
		default:
			keys = append(keys, configKey{path: path, typ: f.Type})
		}
	}
	return keys
}

func indexKeys(keys []configKey) (types map[string]reflect.Type, sections map[string]bool) {
	types, sections = map[string]reflect.Type{}, map[string]bool{"": true}
	for _, k := range keys {
		types[k.path] = k.typ
		for i, r := range k.path {
			if r == '.' {
				sections[k.path[:i]] = true
			}
		}
	}
	return types, sections
}

// variable returns the key's environment variable, "" for the keys of a stream.
func (k configKey) variable() string {
	if strings.HasPrefix(k.path, streamsPrefix) {
		return ""
	}
	return "WEIR_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// schemaPath turns the path of a stream's key into the one that configKeys lists.
func schemaPath(path string) string {
	parts := strings.Split(path, ".")
	if parts[0] == "streams" && len(parts) > 1 {
		parts[1] = "*"
	}
	return strings.Join(parts, ".")
}

// nearestKey returns the key or section that a misspelt path most probably meant, or "".
func nearestKey(path string) string {
	schema := schemaPath(path)
	best, bestScore := "", 1<<30
	consider := func(candidate string) {
		if score, ok := keyDistance(schema, candidate); ok && score < bestScore {
			best, bestScore = candidate, score
		}
	}
	for _, k := range configKeys {
		consider(k.path)
		for section := k.path; strings.Contains(section, "."); {
			section = section[:strings.LastIndex(section, ".")]
			if !strings.HasSuffix(section, "*") {
				consider(section)
			}
		}
	}
	if stream := strings.Split(path, "."); strings.HasPrefix(best, streamsPrefix) {
		if stream[0] != "streams" || len(stream) < 2 {
			return ""
		}
		best = strings.Replace(best, "*", stream[1], 1)
	}
	return best
}

// keyDistance says how far a written path is from a real one. A key in the wrong section counts as
// near when its own name fits.
func keyDistance(written, candidate string) (int, bool) {
	writtenLast, candidateLast := lastPart(written), lastPart(candidate)
	limit := max(1, len(candidateLast)/3)
	if d := editDistance(plainKey(writtenLast), plainKey(candidateLast)); d <= limit {
		elsewhere := 0
		if written[:len(written)-len(writtenLast)] != candidate[:len(candidate)-len(candidateLast)] {
			elsewhere = 2
		}
		return 2*d + elsewhere, true
	}
	return 0, false
}

func lastPart(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// plainKey forgives segmentBytes and segment-bytes.
func plainKey(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// editDistance is the number of single-letter changes between two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
