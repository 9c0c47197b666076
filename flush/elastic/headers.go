package elastic

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// ownHeaders say what a request is. Another value of one of them would make it something else.
var ownHeaders = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// CheckHeader reports why a header cannot be added to requests. It never repeats the value, and the name only when it is one.
func CheckHeader(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New(`a header's name has letters, digits and hyphens only; write "Name: value"`)
	case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
		return fmt.Errorf("the header %s belongs to the request itself; leave it out", http.CanonicalHeaderKey(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("the value of the header %s holds control characters", http.CanonicalHeaderKey(name))
	}
	return nil
}
