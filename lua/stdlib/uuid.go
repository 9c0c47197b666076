package stdlib

import (
	"errors"
	"io"

	"github.com/google/uuid"
)

// ErrNamespace is returned by UUIDv5 for a namespace that is no UUID.
var ErrNamespace = errors.New("the namespace must be a UUID such as 6ba7b811-9dad-11d1-80b4-00c04fd430c8")

// UUIDv5 returns the UUID of version 5 of a name in a namespace, which is a UUID as well; "" is the null UUID.
func UUIDv5(name []byte, namespace string, spend Spend) (string, error) {
	var space uuid.UUID
	if namespace != "" {
		var err error
		if space, err = uuid.Parse(namespace); err != nil {
			return "", ErrNamespace
		}
	}
	if !spend(8 + len(name)>>4) {
		return "", nil
	}
	return uuid.NewSHA1(space, name).String(), nil
}

// UUIDv4 makes a UUID of random bytes. The error is random's.
func UUIDv4(random io.Reader, spend Spend) (string, error) {
	if !spend(16) {
		return "", nil
	}
	id, err := uuid.NewRandomFromReader(random)
	return id.String(), err
}
