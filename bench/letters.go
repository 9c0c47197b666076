package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// How events that become letters are posted.
const (
	letterConnections = 4
	letterEvents      = 100 // of a request
	letterBytes       = 320
)

// manyLetters is what a full run has besides; see amount for fewLetters.
const (
	manyLetters = 1_000_000
	fewLetters  = 100_000
)

// runLetters runs the scenario of dead letters: a destination refuses every document, and once it takes them the letters are
// listed and replayed.
func (l *lab) runLetters(ctx context.Context, scenario string) error {
	for _, n := range l.letterCounts() {
		const step = letterConnections * letterEvents
		n = max(n/step, 1) * step
		info := report.Case{Scenario: scenario, Name: fmt.Sprintf("%s letters of %d B", humanize.Comma(int64(n)), letterBytes),
			Connections: letterConnections, Events: letterEvents, EventBytes: letterBytes}
		err := l.runRows(ctx, info, lettersRoundTakes(n), func(ctx context.Context, dir, binary string, first bool) ([]measuredRow, []string, error) {
			return l.lettersRound(ctx, dir, binary, n, first)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// letterCounts are the numbers of letters that are to run.
func (o *options) letterCounts() []int { return o.amounts(fewLetters, manyLetters, lettersRoundTakes) }

// lettersRoundTakes is about how long a round takes: some 60 µs a letter, half of them to send it again.
func lettersRoundTakes(n int) time.Duration {
	return 2*time.Second + time.Duration(n)*60*time.Microsecond
}

// lettersTake is about how long the scenario takes, and the cases that it leaves out.
func lettersTake(o *options) (time.Duration, int) {
	return o.amountsTake(fewLetters, manyLetters, lettersRoundTakes)
}

// lettersBench is one round of the scenario.
type lettersBench struct {
	*lab
	*server
	binary   string
	dir      string
	sink     string // URL
	letters  int
	profiled bool // what changes letters is
	rows     []measuredRow
}

// lettersRound starts weir and a sink, and goes through the rows.
func (l *lab) lettersRound(ctx context.Context, dir, binary string, letters int, first bool) (rows []measuredRow, problems []string, err error) {
	sink, address, err := startChild(ctx, l, dir, sinkIDs, 0)
	if err != nil {
		return nil, nil, err
	}
	defer sink.kill()
	b := &lettersBench{lab: l, server: &server{path: "/ingest"}, binary: binary, dir: dir, sink: "http://" + address, letters: letters}
	// The letters of a full run are more than the default takes.
	err = b.launch(ctx, binary, dir, b.sink, []string{"WEIR_DEAD_LETTERS_MAX_BYTES=0"})
	if b.process != nil {
		defer b.process.kill()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("start: %w", err)
	}
	b.profiled = first && l.profiles != ""
	for _, step := range []func(context.Context) error{b.put, b.read, b.list, b.find, b.page, b.stats, b.replay} {
		if err := step(ctx); err != nil {
			return b.rows, nil, b.process.orEnded(err)
		}
	}
	if err := b.check(ctx); err != nil {
		problems = append(problems, err.Error())
	}
	return b.rows, problems, nil
}

// letterTime is about how long changing a letter takes, for the length of profiles.
const letterTime = 25 * time.Microsecond

// profile measures and takes a profile of weir meanwhile.
func (b *lettersBench) profile(ctx context.Context, target string, do func() (commandUse, error)) error {
	if !b.profiled {
		return b.measure(target, do)
	}
	taken := b.lab.profile(ctx, b.admin, fmt.Sprintf("%s %d letters", target, b.letters), time.Duration(b.letters)*letterTime)
	err := b.measure(target, do)
	return errors.Join(err, taken())
}

// measure makes a row of what do does with all letters: its rate, and what weir and the command took.
func (b *lettersBench) measure(target string, do func() (commandUse, error)) error {
	pid := b.process.cmd.Process.Pid
	if err := forgetPeak(pid); err != nil {
		return err
	}
	before, err := readUsage(pid)
	if err != nil {
		return err
	}
	use, err := do()
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	after, err := readUsage(pid)
	if err != nil {
		return err
	}
	millions := float64(b.letters) / 1e6
	b.rows = append(b.rows, measuredRow{target, report.Round{
		Handled: float64(b.letters) / use.length.Seconds(), CPU: (after.cpu - before.cpu).Seconds() / millions, PeakMegabytes: float64(after.peak) / 1e6,
		ClientCPU: use.usage.cpu.Seconds() / millions, ClientMegabytes: float64(use.usage.peak) / 1e6,
	}})
	return nil
}

// deadLettered is the metric of what put waits for.
const deadLettered = `weir_flush_settled_total{outcome="dead_lettered"}`

// put makes the letters: the sink refuses all that weir delivers.
func (b *lettersBench) put(ctx context.Context) error {
	if err := post(ctx, b.sink+"/_elastictest/chaos", `{"item_malformed":1}`); err != nil {
		return err
	}
	return b.profile(ctx, "weir, put", func() (use commandUse, err error) {
		result, err := load.Run(ctx, load.Plan{Address: b.address, Connections: letterConnections, Threads: 1, Limit: b.letters / (letterConnections * letterEvents),
			Requests: load.Make(b.address, load.Shape{Path: b.path, Events: letterEvents, EventBytes: letterBytes, Variants: variants, Seed: 1})})
		if err != nil {
			return use, fmt.Errorf("load: %w", err)
		}
		if _, problems := b.server.check(ctx, result); len(problems) > 0 || result.Acked != int64(b.letters) {
			return use, fmt.Errorf("%d of %d events were acknowledged: %s", result.Acked, b.letters, strings.Join(problems, "; "))
		}
		err = awaitMetric(ctx, b.server, deadLettered, b.letters)
		use.length = time.Since(result.Begun)
		return use, err
	})
}

// read is the ceiling of what goes through all letters: reading their log from one end to the other.
func (b *lettersBench) read(context.Context) error {
	var bytes int64
	buffer := make([]byte, 1<<20)
	begun := time.Now()
	err := filepath.WalkDir(filepath.Join(b.dir, "data", "dead"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buffer)
		bytes += n
		return errors.Join(err, f.Close())
	})
	length := time.Since(begun)
	if err != nil {
		return fmt.Errorf("read the letters' log: %w", err)
	}
	b.rows = append(b.rows, measuredRow{"plain read", report.Round{Handled: float64(b.letters) / length.Seconds(), BacklogMegabytes: float64(bytes) / 1e6}})
	return nil
}

// list lists all letters.
func (b *lettersBench) list(ctx context.Context) error { return b.lines(ctx, "weir dlq ls", b.letters) }

// find lists the one whose reason names a document in the middle.
func (b *lettersBench) find(ctx context.Context) error {
	return b.lines(ctx, "weir dlq ls, by reason", 1, "--reason", fmt.Sprintf("-%d'", b.letters/2))
}

func (b *lettersBench) lines(ctx context.Context, target string, want int, args ...string) error {
	return b.measure(target, func() (commandUse, error) {
		var got lineCounter
		use, err := b.runCommand(ctx, b.binary, &got, append([]string{"dlq", "ls", "-o", "ndjson"}, args...)...)
		if err == nil && got.lines != want {
			err = fmt.Errorf("%d letters were listed, not %d", got.lines, want)
		}
		return use, err
	})
}

// pageCalls is how often the first page is asked for: a person waits for it.
const pageCalls = 5

// page lists the first page as a person does.
func (b *lettersBench) page(ctx context.Context) error {
	var times []time.Duration
	err := b.measure("weir dlq ls, first page", func() (use commandUse, err error) {
		for range pageCalls {
			var text bytes.Buffer
			if use, err = b.runCommand(ctx, b.binary, &text, "dlq", "ls"); err != nil {
				return use, err
			}
			if rows := strings.Count(text.String(), "document_parsing_exception"); rows == 0 {
				return use, fmt.Errorf("no letter on the first page:\n%s", &text)
			}
			times = append(times, use.length)
		}
		return use, nil
	})
	if err != nil {
		return err
	}
	slices.Sort(times)
	round := &b.rows[len(b.rows)-1].round
	// Not all letters are gone through: what counts is how long it takes.
	*round = report.Round{P50: times[len(times)/2].Seconds() * 1e3, PeakMegabytes: round.PeakMegabytes, ClientMegabytes: round.ClientMegabytes}
	return nil
}

// stats groups the letters.
func (b *lettersBench) stats(ctx context.Context) error {
	return b.measure("weir dlq stats", func() (commandUse, error) {
		var text bytes.Buffer
		use, err := b.runCommand(ctx, b.binary, &text, "dlq", "stats", "-o", "json")
		var groups []struct{ Count int }
		if err == nil {
			err = json.Unmarshal(text.Bytes(), &groups)
		}
		if err == nil && (len(groups) != 1 || groups[0].Count != b.letters) {
			err = fmt.Errorf("not one group of %d letters: %s", b.letters, &text)
		}
		return use, err
	})
}

// replay sends all letters again, to a sink that takes them.
func (b *lettersBench) replay(ctx context.Context) error {
	for control, body := range map[string]string{"chaos": "{}", "reset": ""} {
		if err := post(ctx, b.sink+"/_elastictest/"+control, body); err != nil {
			return err
		}
	}
	return b.profile(ctx, "weir dlq replay", func() (commandUse, error) {
		var text bytes.Buffer
		use, err := b.runCommand(ctx, b.binary, &text, "dlq", "replay", "-o", "json")
		var summary struct{ Total, Delivered, Documents, Duplicates int }
		if err == nil {
			err = json.Unmarshal(text.Bytes(), &summary)
		}
		if n := b.letters; err == nil && (summary.Total != n || summary.Delivered != n || summary.Documents != n || summary.Duplicates != 0) {
			err = fmt.Errorf("not all of %d letters were delivered once: %s", n, &text)
		}
		return use, err
	})
}

// check looks whether every letter is at the sink, once, and none is left, also after weir has stopped in order.
func (b *lettersBench) check(ctx context.Context) error {
	var left lineCounter
	if _, err := b.runCommand(ctx, b.binary, &left, "dlq", "ls", "-o", "ndjson"); err != nil {
		return err
	}
	if left.lines > 0 {
		return fmt.Errorf("%d letters are left after their replay", left.lines)
	}
	if err := b.process.stop(stopPatience); err != nil {
		return err
	}
	_, err := delivered(ctx, b.sink, int64(b.letters))
	return err
}
