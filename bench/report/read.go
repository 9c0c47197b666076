package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errNoRounds says that there is nothing in a report.
var errNoRounds = errors.New("it holds no rounds: the run was broken off, or the file is no report; make one with go run ./bench --json FILE")

// Read reads what JSON wrote, of this version of the form.
func Read(from io.Reader) (*Report, error) {
	var r Report
	decoder := json.NewDecoder(from)
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("it is no JSON report, make one with go run ./bench --json FILE: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return nil, errors.New("more follows on the report: the file may be two reports in one, separate them")
	}
	if len(r.Cases) == 0 {
		return nil, errNoRounds
	}
	if r.Format != Format {
		return nil, fmt.Errorf("it has format %d and this bench reads %d: compare with the bench that wrote it, or measure again", r.Format, Format)
	}
	for i := range r.Cases {
		for j := range r.Cases[i].Rows {
			if len(r.Cases[i].Rows[j].Rounds) > 0 {
				return &r, nil
			}
		}
	}
	return nil, errNoRounds
}
