package rawjson

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
