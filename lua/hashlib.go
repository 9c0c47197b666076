package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// openHashes registers hash, base64 and uuid.
func (w *worker) openHashes() {
	w.library("hash", map[string]glua.LGFunction{"sha256": w.digest(stdlib.SHA256, 64), "xxh64": w.digest(stdlib.XXH64, 16)}, nil)
	w.library("base64", map[string]glua.LGFunction{"encode": w.base64Encode, "decode": w.base64Decode}, nil)
	w.library("uuid", map[string]glua.LGFunction{"v4": w.uuid4, "v5": w.uuid5}, nil)
}

// digest is a function that makes a text of so many bytes of a text.
func (w *worker) digest(hash func([]byte, stdlib.Spend) string, size int) glua.LGFunction {
	return func(L *glua.LState) int {
		s := w.argText(L, 1)
		w.text(L, 2*size) // the digits, and what the hash keeps
		sum := hash(stdlib.Bytes(s), w.spend)
		w.stopped(L)
		L.Push(glua.LString(sum))
		return 1
	}
}

func (w *worker) base64Encode(L *glua.LState) int {
	s := w.argText(L, 1)
	w.text(L, stdlib.EncodedSize(len(s)))
	out := stdlib.EncodeBase64(stdlib.Bytes(s), w.spend)
	w.stopped(L)
	L.Push(glua.LString(out))
	return 1
}

func (w *worker) base64Decode(L *glua.LState) int {
	s := w.argText(L, 1)
	w.text(L, 2*len(s))
	out, err := stdlib.DecodeBase64(s, w.spend)
	w.stopped(L)
	if err != nil {
		return w.unfit(L, "%s", err)
	}
	w.text(L, len(out))
	L.Push(glua.LString(out))
	return 1
}

func (w *worker) uuid5(L *glua.LState) int {
	name, namespace := w.argText(L, 1), ""
	if L.Get(2) != glua.LNil {
		if namespace = w.argText(L, 2); namespace == "" {
			L.ArgError(2, stdlib.ErrNamespace.Error())
		}
	}
	w.text(L, 2*len("6ba7b811-9dad-11d1-80b4-00c04fd430c8"))
	id, err := stdlib.UUIDv5(stdlib.Bytes(name), namespace, w.spend)
	w.stopped(L)
	if err != nil {
		L.ArgError(2, err.Error())
	}
	L.Push(glua.LString(id))
	return 1
}

func (w *worker) uuid4(L *glua.LState) int {
	w.text(L, 64)
	id, err := stdlib.UUIDv4(w.randomBytes, w.spend)
	w.stopped(L)
	if err != nil {
		L.RaiseError("uuid.v4: %s", err.Error())
	}
	L.Push(glua.LString(id))
	return 1
}
