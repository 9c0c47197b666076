package deadletter

import (
	"errors"
	"io/fs"
	"os"
)

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
