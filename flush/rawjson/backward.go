package rawjson

import "bytes"

// LookupLate is Lookup for a member that stands near the end, as the time does that PHP's Monolog writes: it reads the object
// from its end and no further than it must. obj has to be valid JSON. known is false where it cannot tell, because there
// is a backslash somewhere: without one, every quote begins or ends a string, in whichever direction one reads, and
// every key is spelled as it is meant. value is nil when the object is known to have no such member.
func LookupLate(obj []byte, key string) (value []byte, known bool) {
	if bytes.IndexByte(obj, '\\') >= 0 {
		return nil, false
	}
	start := skipSpace(obj, 0)
	i := trimEnd(obj, start) - 1
	if i <= start || obj[start] != '{' || obj[i] != '}' {
		return nil, false
	}
	i = backOverSpace(obj, i-1)
	for i > start {
		end := i + 1
		valueStart := startOfValue(obj, i)
		i = backOverSpace(obj, valueStart-1)
		if i <= start || obj[i] != ':' {
			return nil, false
		}
		keyEnd := backOverSpace(obj, i-1)
		if keyEnd <= start || obj[keyEnd] != '"' {
			return nil, false
		}
		keyStart := bytes.LastIndexByte(obj[:keyEnd], '"')
		if string(obj[keyStart+1:keyEnd]) == key {
			return obj[valueStart:end:end], true
		}
		i = backOverSpace(obj, keyStart-1)
		if i > start {
			if obj[i] != ',' {
				return nil, false
			}
			i = backOverSpace(obj, i-1)
		}
	}
	return nil, i == start
}

// backOverSpace returns the position of the last byte at or before i that is no white space, -1 if none.
func backOverSpace(b []byte, i int) int {
	for i >= 0 && isSpace(b[i]) {
		i--
	}
	return i
}

// startOfValue returns where the value begins that ends with the byte at i, -1 when none does. b has no backslash.
func startOfValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return bytes.LastIndexByte(b[:i], '"')
	case '}', ']':
		return startOfContainer(b, i)
	}
	for i >= 0 {
		switch b[i] {
		case ',', ':', '{', '[', '"', '}', ']', ' ', '\n', '\r', '\t':
			return i + 1
		}
		i--
	}
	return -1
}

// startOfContainer is skipContainer backwards.
func startOfContainer(b []byte, i int) int {
	depth := 0
	for i >= 0 {
		switch b[i] {
		case '"':
			i = bytes.LastIndexByte(b[:i], '"')
		case '}', ']':
			depth++
		case '{', '[':
			if depth--; depth == 0 {
				return i
			}
		}
		i--
	}
	return -1
}
