package lua

import "github.com/weirlog/weir/lua/stdlib"

// maxMessage bounds the text of an error that a script raised.
const maxMessage = 1024

// cut shortens a message.
func cut(s string) string { return stdlib.Shorten(s, maxMessage) }
