package main

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML returns the configuration in force as a file that could be loaded, secrets masked. A comment
// says where each value comes from; values without one are defaults.
func (c *Config) YAML() ([]byte, error) {
	root := mappingNode()
	for _, k := range configKeys {
		if strings.HasPrefix(k.path, streamsPrefix) {
			continue
		}
		c.addNode(root, k.path)
	}
	for _, stream := range c.StreamNames() {
		for _, k := range configKeys {
			if name, ok := strings.CutPrefix(k.path, streamsPrefix); ok && (c.OwnDestination(stream) || !isConnectionKey(name)) {
				c.addNode(root, "streams."+stream+"."+name)
			}
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return out.Bytes(), nil
}

func mappingNode() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// addNode puts one value into the tree, with the sections above it.
func (c *Config) addNode(root *yaml.Node, path string) {
	parts := strings.Split(path, ".")
	section := root
	for _, name := range parts[:len(parts)-1] {
		section = childSection(section, name)
	}
	value := valueNode(c.value(path).Interface())
	if o := c.origins[path]; o != (origin{}) {
		value.LineComment = printable(o.String())
	}
	section.Content = append(section.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: parts[len(parts)-1]}, value)
}

func childSection(parent *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(parent.Content); i += 2 {
		if parent.Content[i].Value == name {
			return parent.Content[i+1]
		}
	}
	child := mappingNode()
	parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, child)
	return child
}

func valueNode(v any) *yaml.Node {
	switch v := v.(type) {
	case []string:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, item := range v {
			list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item})
		}
		return list
	case HeaderList:
		return valueNode(v.masked())
	case bool, int:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)}
	case Bytes, Duration, Share:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)}
	default: // FileMode is text too: 0660 without quotes is a number to other YAML readers
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: fmt.Sprint(v)}
	}
}
