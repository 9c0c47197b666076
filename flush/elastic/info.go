package elastic

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Products that are told apart.
const (
	ProductElasticsearch = "elasticsearch"
	ProductOpenSearch    = "opensearch"
	ProductCompatible    = "compatible" // answers like one of the two and calls itself neither
)

// Info is what a cluster says about itself.
type Info struct {
	Product string `json:"product"` // one of the Product constants
	Version string `json:"version"` // e.g. 8.19.21
	Cluster string `json:"cluster"` // its name
	// Serverless: Elastic's, whose version says nothing about what it can do.
	Serverless bool `json:"serverless,omitempty"`
}

// String returns e.g. `elasticsearch 8.19.21, cluster "logs"`.
func (i Info) String() string {
	return fmt.Sprintf("%s %s, cluster %q", i.Product, i.Version, i.Cluster)
}

// AtLeast reports whether the product is this one, of this version or a later one.
func (i Info) AtLeast(product string, major, minor int) bool {
	if i.Product != product {
		return false
	}
	if i.Serverless {
		return true
	}
	gotMajor, gotMinor, ok := i.numbers()
	return ok && (gotMajor > major || gotMajor == major && gotMinor >= minor)
}

// numbers returns the first two numbers of the version.
func (i Info) numbers() (major, minor int, ok bool) {
	parts := strings.SplitN(i.Version, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	return major, minor, errMajor == nil && errMinor == nil
}

// tooOld says why weir does not deliver to a server, "" when it does.
func (i Info) tooOld() string {
	if major, _, ok := i.numbers(); ok && i.Product == ProductElasticsearch && !i.Serverless && major < 7 {
		return fmt.Sprintf("this is %s %s, which is too old: weir delivers to Elasticsearch from 7.17 and to OpenSearch", i.Product, i.Version)
	}
	return ""
}

// exact reports whether the items of an answer certainly stand at their documents' positions. Elasticsearch before 8.12.1
// and OpenSearch permute those that an ingest pipeline failed or dropped.
func (i Info) exact() bool {
	return i.AtLeast(ProductElasticsearch, 8, 13) || i.Product == ProductElasticsearch && strings.HasPrefix(i.Version, "8.12.") && i.Version != "8.12.0"
}

func parseInfo(body []byte) (Info, error) {
	var answer struct {
		Cluster string `json:"cluster_name"`
		Tagline string `json:"tagline"`
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
			Flavor       string `json:"build_flavor"`
		} `json:"version"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Version.Number == "" {
		return Info{}, fmt.Errorf("this is neither Elasticsearch nor OpenSearch: %s", describe(body))
	}
	info := Info{
		Product:    ProductCompatible,
		Version:    printable([]byte(answer.Version.Number)),
		Cluster:    printable([]byte(answer.Cluster)),
		Serverless: answer.Version.Flavor == "serverless",
	}
	switch {
	case answer.Version.Distribution == "opensearch":
		info.Product = ProductOpenSearch
	case answer.Tagline == "You Know, for Search":
		info.Product = ProductElasticsearch
	}
	return info, nil
}
