package flush

import (
	"errors"
	"fmt"
	"testing"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		errType string
		want    Verdict
	}{
		{"created", 201, "", Delivered},
		{"dropped by a pipeline on purpose", 200, "", Delivered},
		{"our own id was there", 409, "version_conflict_engine_exception", Duplicate},
		{"a conflict of another kind is no success", 409, "resource_already_exists_exception", Permanent},
		{"a conflict without a type is no success", 409, "", Permanent},
		{"write queue full, Elasticsearch", 429, "es_rejected_execution_exception", Retry},
		{"write queue full, OpenSearch", 429, "rejected_execution_exception", Retry},
		{"flood stage", 429, "cluster_block_exception", Blocked},
		{"circuit breaker", 429, "circuit_breaking_exception", Retry},
		{"mapping conflict, Elasticsearch", 400, "document_parsing_exception", Permanent},
		{"mapping conflict, OpenSearch", 400, "mapper_parsing_exception", Permanent},
		{"too many fields", 400, "illegal_argument_exception", Permanent},
		{"strict mapping", 400, "strict_dynamic_mapping_exception", Permanent},
		{"closed index", 400, "index_closed_exception", Blocked},
		{"bad index name", 400, "invalid_index_name_exception", Permanent},
		{"no such index", 404, "index_not_found_exception", Blocked},
		{"read-only index", 403, "cluster_block_exception", Blocked},
		{"missing privilege", 403, "security_exception", Blocked},
		{"forbidden for no known reason", 403, "other_exception", Permanent},
		{"time-out of an emulator", 408, "", Retry},
		{"document larger than the destination takes", 413, "", Permanent},
		{"pipeline that fails on purpose", 500, "fail_processor_exception", Permanent},
		{"pipeline whose processor fails", 500, "ingest_processor_exception", Permanent},
		{"pipeline whose script fails", 500, "script_exception", Permanent},
		{"pipeline type with a status of the server", 503, "fail_processor_exception", Retry},
		{"mapping update timed out", 500, "mapper_exception", Retry},
		{"shards away", 503, "unavailable_shards_exception", Retry},
		{"server error without a type", 500, "", Retry},
		{"no status", 0, "", Retry},
		{"informational", 100, "", Retry},
		{"redirect", 302, "", Retry},
		{"beyond HTTP", 600, "", Retry},
		{"negative", -1, "", Retry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Classify(tt.status, tt.errType, ""); got != tt.want {
				t.Errorf("Classify(%d, %q) = %s, want %s", tt.status, tt.errType, got, tt.want)
			}
		})
	}
}

// A row that an earlier one covers would never be read.
func TestMeanings_EveryRowDecides(t *testing.T) {
	for _, m := range meanings {
		decided := false
		typ := m.Type
		if typ == NoType {
			typ = ""
		} else if typ == "" {
			typ = "other_exception"
		}
		for status := m.From; status <= m.To && !decided; status++ {
			decided = firstRow(m.Level, status, m.Cause, typ, m.Prefix) == m
		}
		if !decided {
			t.Errorf("row %+v is covered by an earlier one", m)
		}
	}
}

func firstRow(level Level, status int, cause, errType, reason string) Meaning {
	for _, m := range meanings {
		if m.Level == level && m.fits(status, errType, reason) && (m.Cause == "" || m.Cause == cause) {
			return m
		}
	}
	return Meaning{}
}

// TestClassify_AnEventCannotParkItsStream: reasons quote documents, so that words count at a reason's beginning only.
func TestClassify_AnEventCannotParkItsStream(t *testing.T) {
	for _, m := range meanings {
		if m.Prefix == "" || m.Level != LevelItem {
			continue
		}
		if got := Classify(m.From, m.Type, "mapper ["+m.Prefix+"x] cannot be changed"); got == Blocked {
			t.Errorf("a document that quotes %q blocks its index", m.Prefix)
		}
	}
}

// An outcome that nobody filled in must not pass for success.
func TestVerdict_ZeroIsRetry(t *testing.T) {
	var o Outcome
	if o.Verdict != Retry {
		t.Errorf("zero verdict is %s, want retry", o.Verdict)
	}
}

func TestRequestError(t *testing.T) {
	cause := errors.New("connection refused")
	err := fmt.Errorf("send: %w", &RequestError{Cause: "refused", Err: cause})
	var re *RequestError
	if !errors.As(err, &re) || !errors.Is(err, cause) {
		t.Fatalf("%v does not unwrap to its parts", err)
	}
	for _, tt := range []struct {
		err  RequestError
		want bool
	}{
		{RequestError{}, false},
		{RequestError{Verdict: Split}, true},
		{RequestError{Verdict: Park, Status: 401}, false},
	} {
		if got := tt.err.Split(); got != tt.want {
			t.Errorf("Split of %+v = %v, want %v", tt.err, got, tt.want)
		}
	}
}
