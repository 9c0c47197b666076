package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileLayer reads a YAML file into values by path, with the line of each. It walks the parsed tree
// itself, because only the tree knows lines, and because duplicate and unknown keys must not pass.
type fileLayer struct {
	name    string
	values  map[string]any
	origins origins
	streams map[string]int // declared streams and their lines
	faults  []Fault
}

func readFileLayer(name string, text []byte) *fileLayer {
	l := &fileLayer{name: name, values: map[string]any{}, origins: origins{}, streams: map[string]int{}}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file is no fault
			l.syntaxFault(err)
		}
		return l
	}
	if len(doc.Content) > 0 {
		l.section(doc.Content[0], "")
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			l.syntaxFault(err)
		} else {
			l.fault(more.Line, "", "a second document begins here and would be ignored; keep one document")
		}
	}
	return l
}

func (l *fileLayer) fault(line int, key, format string, args ...any) {
	l.faults = append(l.faults, Fault{origin{file: l.name, line: line}, key, fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func (l *fileLayer) syntaxFault(err error) {
	line, message := 0, err.Error()
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // no number: the fault is about the whole file
		message = m[2]
	}
	if strings.Contains(message, "unknown anchor") {
		// The library repeats the name, which may be an unquoted password that begins with a star.
		message = "a value begins with * but names no anchor; put it in quotes"
	}
	l.fault(line, "", "not valid YAML: %s", message)
}

// section walks one mapping. Path is "" at the top.
func (l *fileLayer) section(node *yaml.Node, path string) {
	node = resolveAlias(node)
	if isNull(node) {
		return // "wal:" with nothing below changes nothing
	}
	if node.Kind != yaml.MappingNode {
		what := "the file"
		if path != "" {
			what = "a section"
		}
		l.fault(node.Line, path, "%s holds keys, one per line as \"key: value\"", what)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		full := joinPath(path, key.Value)
		switch first, twice := seen[key.Value]; {
		case key.Tag == "!!merge":
			l.fault(key.Line, path, "merge keys (<<) are not supported; write the keys out")
		case key.Kind != yaml.ScalarNode:
			l.fault(key.Line, path, "a key must be a plain name")
		case twice:
			l.fault(key.Line, full, "is given twice; the first is in line %d", first)
		default:
			seen[key.Value] = key.Line
			l.member(full, key, value)
		}
	}
}

func (l *fileLayer) member(path string, key, value *yaml.Node) {
	schema := schemaPath(path)
	typ, isLeaf := keyTypes[schema]
	switch {
	case path == "streams."+key.Value:
		l.stream(key, value)
	case strings.Contains(key.Value, "."):
		l.dottedKey(path, key)
	case isLeaf:
		l.leaf(path, typ, value)
	case configSections[schema]:
		l.section(value, path)
	default:
		l.unknownKey(path, key)
	}
}

func (l *fileLayer) stream(key, value *yaml.Node) {
	if !validStreamName(key.Value) {
		l.fault(key.Line, "streams", "%q cannot name a stream; %s", key.Value, streamNameRule)
		return
	}
	l.streams[key.Value] = key.Line
	l.section(value, "streams."+key.Value)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (l *fileLayer) unknownKey(path string, key *yaml.Node) {
	if !plainName.MatchString(key.Value) {
		// Such a "key" may be a value in the wrong place, a secret even: it is not repeated.
		l.fault(key.Line, strings.TrimSuffix(path, "."+key.Value), "holds something that is no key; write \"key: value\"")
		return
	}
	if now, ok := renamedKeys[path]; ok {
		l.fault(key.Line, path, "this key is gone; %s", now)
		return
	}
	if near := nearestKey(path); near != "" {
		l.fault(key.Line, path, "unknown key; did you mean %s?", near)
		return
	}
	l.fault(key.Line, path, "unknown key; docs/configuration.md lists them all")
}

func (l *fileLayer) dottedKey(path string, key *yaml.Node) {
	if _, ok := keyTypes[path]; ok {
		l.fault(key.Line, path, "write sections as levels: %s", "{"+strings.ReplaceAll(path, ".", ": {")+": ...}"+
			strings.Repeat("}", strings.Count(path, ".")))
		return
	}
	l.unknownKey(path, &yaml.Node{Line: key.Line, Value: lastPart(key.Value)})
}

func (l *fileLayer) leaf(path string, typ reflect.Type, node *yaml.Node) {
	line := node.Line
	node = resolveAlias(node)
	value, err := leafValue(typ, node)
	if err != nil {
		l.fault(line, path, "%s", err)
		return
	}
	l.values[path] = value
	l.origins[path] = origin{file: l.name, line: line}
}

func leafValue(typ reflect.Type, node *yaml.Node) (any, error) {
	if isNull(node) {
		return nil, errors.New("has no value; give one, or remove the line to keep the default")
	}
	switch typ {
	case typeList:
		return listValue(node)
	case typeHeaders:
		lines, err := listValue(node)
		if err != nil {
			return nil, err
		}
		return parseHeaders(lines)
	}
	if node.Kind != yaml.ScalarNode {
		return nil, errors.New("takes a single value, not a list or a section")
	}
	return parseValue(typ, node.Value)
}

// listValue accepts a single value in place of a list of one.
func listValue(node *yaml.Node) ([]string, error) {
	list := []string{}
	items := node.Content
	switch node.Kind {
	case yaml.ScalarNode:
		items = []*yaml.Node{node}
	case yaml.MappingNode:
		return nil, errors.New("takes a list, not a section")
	}
	for _, item := range items {
		item = resolveAlias(item)
		if item.Kind != yaml.ScalarNode || isNull(item) {
			return nil, errors.New("takes a list of single values")
		}
		if item.Value != "" {
			list = append(list, item.Value)
		}
	}
	return list, nil
}

func resolveAlias(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
