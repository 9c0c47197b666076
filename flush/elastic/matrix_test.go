package elastic_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/valyala/fasthttp"
)

var matrixTable = flag.Bool("matrix.table", false, "print the table of TestMatrix on standard output")

// TestMatrix strikes delivery with every kind of fault, once, for 30 seconds and flapping, on a simulated clock, and judges each
// time that nothing is lost, nothing doubled, no letter wrong, nobody hammered, and that all is as before without help.
func TestMatrix(t *testing.T) {
	_ = new(fasthttp.ResponseHeader).Header() // starts the library's goroutine that keeps the date, which never ends, outside of every bubble
	caFile := theMatrixCA().file(t)
	table := &matrixResults{cells: map[string]map[string]cellResult{}}
	started := time.Now()
	t.Run("cells", func(t *testing.T) {
		for i, f := range matrixFaults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				for j, m := range modes {
					if testing.Short() && i%len(modes) != j {
						continue // each fault in one mode
					}
					if raceEnabled && i%(4*len(modes)) != j {
						continue // each fourth fault, in one mode: what the race detector is for needs no more
					}
					t.Run(m.name, func(t *testing.T) {
						dir := memoryDir(t)
						synctest.Test(t, func(t *testing.T) {
							result := runCell(t, dir, caFile, &f, m)
							table.add(f.name, m.name, result)
							for _, wrong := range result.wrong {
								t.Error(wrong)
							}
						})
					})
				}
			})
		}
	})
	switch {
	case *matrixTable:
		table.print(os.Stdout, false)
		fmt.Printf("%d faults, %d cells, %d wrong, %.1fs\n", len(matrixFaults), table.n, table.failed, time.Since(started).Seconds())
	case table.failed > 0:
		var b strings.Builder
		table.print(&b, true)
		t.Logf("%d of %d cells are wrong:\n%s", table.failed, table.n, b.String())
	}
}

// memoryDir is a directory of the test's own, in memory where that is possible: no cell asks what a disk does.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "weir-matrix-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// matrixResults collects cells. add is safe for concurrent use.
type matrixResults struct {
	mu        sync.Mutex
	cells     map[string]map[string]cellResult // by fault and mode
	n, failed int
}

func (r *matrixResults) add(fault, mode string, c cellResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells[fault] == nil {
		r.cells[fault] = map[string]cellResult{}
	}
	r.cells[fault][mode] = c
	r.n++
	if len(c.wrong) > 0 {
		r.failed++
	}
}

// print writes the table: a row for each fault, a column for each mode. With onlyWrong it leaves out the rows that are in order.
func (r *matrixResults) print(w io.Writer, onlyWrong bool) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "fault"
	for _, m := range modes {
		header += "\t" + m.name
	}
	fmt.Fprintln(tw, header)
	for _, f := range matrixFaults {
		if r.cells[f.name] == nil || onlyWrong && r.inOrder(f.name) {
			continue
		}
		row := f.name
		for _, m := range modes {
			c, ran := r.cells[f.name][m.name]
			row += "\t"
			if ran {
				row += c.String()
			}
		}
		fmt.Fprintln(tw, row)
	}
	_ = tw.Flush()
}

func (r *matrixResults) inOrder(fault string) bool {
	for _, c := range r.cells[fault] {
		if len(c.wrong) > 0 {
			return false
		}
	}
	return true
}

// String is e.g. "ok 1.5s 12/93": back to normal after so long, strikes, requests in all.
func (c cellResult) String() string {
	word := "ok"
	if len(c.wrong) > 0 {
		word, _, _ = strings.Cut(c.wrong[0], ":")
		word = strings.ToUpper(word[:min(len(word), 24)])
	}
	return fmt.Sprintf("%s %.1fs %d/%d", word, c.recovery.Seconds(), c.hits, c.requests)
}
