package lua

import (
	"errors"
	"fmt"

	"github.com/weirlog/weir/flush"
)

// Errors of loading a script.
var (
	// ErrNoTransform is returned for a script that does not define a function named transform.
	ErrNoTransform = errors.New("the script defines no function transform(event, meta)")
	// ErrTestsFailed is returned for a script whose own tests fail; the text says which.
	ErrTestsFailed = errors.New("the script's tests fail")
)

// SyntaxError says where a script does not compile.
type SyntaxError struct {
	File    string
	Line    int // 0 at the end of the file
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: at the end: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// failureText is the message of a TransformError without its type, which is of no use in a test's result.
func failureText(err error) string {
	var te *flush.TransformError
	if errors.As(err, &te) {
		return te.Message
	}
	return err.Error()
}
