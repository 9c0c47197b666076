package elastic

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// errCloudID is returned for what is no cloud id. It does not repeat it.
var errCloudID = errors.New("not a cloud id; copy it from the deployment's page, it looks like name:ZXUtd2VzdC0xLi4u")

// ParseCloudID returns the address that a cloud id stands for: behind the deployment's name, in base64, it holds
// `domain[:port]$elasticsearch[:port]$kibana`.
func ParseCloudID(id string) (*url.URL, error) {
	_, encoded, ok := strings.Cut(id, ":")
	if !ok {
		return nil, errCloudID
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errCloudID
	}
	parts := strings.Split(string(text), "$")
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nil, errCloudID
	}
	domain, domainPort, _ := strings.Cut(parts[0], ":")
	cluster, port, hasPort := strings.Cut(parts[1], ":")
	if !hasPort {
		port = domainPort
	}
	if port == "" {
		port = "443"
	}
	u, err := parseAddress("https://" + cluster + "." + domain + ":" + port)
	if err != nil || u.User != nil || u.Path != "" {
		return nil, errCloudID
	}
	return u, nil
}
