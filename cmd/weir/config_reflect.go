package main

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
)

// defaultValues returns the defaults by path, in the types that parseValue makes.
func defaultValues() map[string]any {
	cfg := DefaultConfig()
	values := map[string]any{}
	for _, k := range configKeys {
		if !strings.HasPrefix(k.path, streamsPrefix) {
			values[k.path] = cfg.value(k.path).Interface()
		}
	}
	return values
}

// value returns the field that a path names. The path must exist.
func (c *Config) value(path string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(path, ".") {
		if v.Kind() == reflect.Map {
			v = v.MapIndex(reflect.ValueOf(name))
			continue
		}
		v = fieldByTag(v, name)
	}
	return v
}

func fieldByTag(v reflect.Value, name string) reflect.Value {
	for f, field := range v.Fields() {
		if f.Tag.Get("koanf") == name {
			return field
		}
	}
	panic("config: no field for key " + name)
}

// reasonOf returns the cause of a file error without its operation and path.
func reasonOf(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
