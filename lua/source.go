package lua

import (
	"fmt"
	"io"
	"os"
)

// MaxScriptBytes is how large a script file may be. A file of that size full of constants takes ten seconds to compile,
// for the compiler looks each of them up among all, and a few hundred MiB.
const MaxScriptBytes = 512 << 10

// readScript reads a script file.
func readScript(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, MaxScriptBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	if len(source) > MaxScriptBytes {
		return nil, fmt.Errorf("read script: %s is larger than %d bytes", path, MaxScriptBytes)
	}
	return source, nil
}

// readScriptFile is readScript for a service, which must not wait for whoever writes into a pipe.
func readScriptFile(path string) ([]byte, error) {
	if err := regular(path); err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return readScript(path)
}

// regular returns an error for what is no regular file, and for what is not there.
func regular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	return nil
}
