package rawjson

import "bytes"

// AppendMember appends obj to dst with one more member at its end; all other bytes are obj's own, white
// space included. value is JSON text, key is not. When obj does not end as an object does, it is
// appended as it is.
func AppendMember(dst, obj []byte, key string, value []byte) []byte {
	start := skipSpace(obj, 0)
	end := trimEnd(obj, start)
	if end-start < 2 || obj[start] != '{' || obj[end-1] != '}' {
		return append(dst, obj...)
	}
	// Behind the last member's last byte. In valid text a '{' there can only be the object's own.
	at := trimEnd(obj[:end-1], start)
	dst = append(dst, obj[:at]...)
	if at > start+1 {
		dst = append(dst, ',')
	}
	dst = AppendQuoted(dst, key)
	dst = append(dst, ':')
	dst = append(dst, value...)
	return append(dst, obj[at:]...)
}

// OneLine returns doc without line breaks, for protocols in which a document is a line: it appends doc to
// dst with every CR and LF replaced by a space. Valid JSON has them only between tokens, so the meaning
// stays. A doc without any is returned itself and dst is not used.
func OneLine(dst, doc []byte) []byte {
	if bytes.IndexByte(doc, '\n') < 0 && bytes.IndexByte(doc, '\r') < 0 {
		return doc
	}
	from := len(dst)
	dst = append(dst, doc...)
	for i, c := range dst[from:] {
		if c == '\n' || c == '\r' {
			dst[from+i] = ' '
		}
	}
	return dst
}
