package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// What weir check says of the content of a data directory. A start goes on by itself whatever is damaged, so that damage
// is a warning; a failure is what keeps a start from happening.

// checkLastSegments is how much of each log a check proves: weir wal verify proves all of it, and takes its time.
const checkLastSegments = 2

// dataContent looks into a directory that no service holds.
func (c *checker) dataContent(ctx context.Context, dir string) {
	v, err := viewData(dir)
	if errors.Is(err, wal.ErrLocked) {
		c.add(subjectData, resultSkipped, "a service has just taken %s", dir)
		return
	}
	if err != nil {
		c.dataFault("%s", err)
		return
	}
	defer func() { _ = v.close() }() // nothing was written
	before := len(c.findings)
	for _, text := range v.notes() {
		c.add(subjectData, resultWarning, "%s", text)
	}
	c.lastSegments(ctx, v)
	c.forgottenStreams(v.db, v.log)
	if last, ok := v.db.Home(); ok {
		if text := elsewhere(last, currentHome(dir, c.app.now())); text != "" {
			c.add(subjectData, resultWarning, "%s", text)
		}
	}
	if len(c.findings) == before {
		c.add(subjectData, resultOK, "%s can be used; no damage in weir.db and in the last segments of the logs", dir)
	}
}

func (c *checker) lastSegments(ctx context.Context, v *dataView) {
	for _, l := range []struct {
		part     string
		snapshot *wal.Snapshot
	}{{partLog, v.log}, {partDead, v.dead}, {partRefused, v.refused}} {
		if l.snapshot.LostEnd() != nil {
			continue // that was said
		}
		rep, err := l.snapshot.VerifyLast(ctx, checkLastSegments)
		if err != nil {
			c.dataFault("%s: %s", l.part, err)
			continue
		}
		if len(rep.Damage) > 0 {
			c.add(subjectData, resultWarning, "%s is damaged in %s, %s lost, first %s; the service sets it aside and delivers what lies around; weir wal verify shows all of it",
				l.part, counted(len(rep.Damage), "place", "places"), plural(rep.Lost(), "record", "records"), rep.Damage[0])
		}
	}
}

// forgottenStreams looks for events of streams that are not declared any more: with such events no start comes about.
func (c *checker) forgottenStreams(db *checkpoint.DB, log *wal.Snapshot) {
	if c.faulty("streams") {
		return
	}
	settled := map[string]wal.Offset{}
	for _, name := range c.cfg.StreamNames() {
		settled[name] = 0
		if p, ok := db.Position(name); ok && log.HasEpoch(p.Epoch) {
			settled[name] = p.Offset
		}
	}
	for name, p := range db.Streams() {
		if _, declared := settled[name]; declared || !log.HasEpoch(p.Epoch) {
			continue
		}
		switch offset, found, err := findStream(log, name, p.Offset+1, leastOf(settled)); {
		case err != nil:
			c.dataFault("%s", err)
		case found:
			c.add("streams", resultFailed, "%s", forgottenText(name, offset))
		}
	}
}

// forgottenText is what a start and a check say of a stream that left the configuration too early.
func forgottenText(stream string, offset wal.Offset) string {
	return fmt.Sprintf("stream %q left the configuration, but offset %d in the log is an event of it, or a damaged place, that is not settled: declare it again under streams:, let it drain (weir status), and remove it then", stream, offset)
}

// runningService asks a service that holds the directory: it would not start again with this configuration if one of its
// streams is not declared any more and not drained.
func (c *checker) runningService(ctx context.Context, holder wal.Holder) {
	if holder.Admin == "" || c.faulty("streams") || c.faulty("admin") {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := newOnlineClient(c.cfg, holder.Admin)
	defer func() { _ = client.close() }() // idle connections only
	var st statusReport
	if err := client.get(ctx, "/api/v1/status", nil, &st); err != nil {
		c.add(subjectData, resultSkipped, "the service was not asked: %s", err)
		return
	}
	for _, n := range st.Notes {
		c.add("service", resultWarning, "%s", n.Text)
	}
	for _, s := range st.Streams {
		if slices.Contains(c.cfg.StreamNames(), s.Name) || s.Lag == 0 {
			continue
		}
		found := wal.Offset(0)
		params := url.Values{"stream": {s.Name}, "from": {strconv.FormatUint(uint64(s.Checkpoint)+1, 10)}, "limit": {"1"}}
		_, err := client.lines(ctx, http.MethodGet, walPath+"/records", params, nil, func(line []byte) error {
			var rec recordView
			err := json.Unmarshal(line, &rec)
			if rec.Damage == nil {
				found = rec.Offset
			}
			return err
		})
		switch {
		case err != nil:
			c.add("streams", resultSkipped, "stream %s is not declared any more, and the service could not say whether it is drained: %s", s.Name, err)
		case found != 0:
			c.add("streams", resultFailed, "%s", forgottenText(s.Name, found))
		}
	}
}

// foreignDirectory says of a directory with other files what a start would say.
func (c *checker) foreignDirectory(dir string) bool {
	err := refuseForeignDir(layoutOf(dir))
	if err != nil {
		c.dataFault("%s", strings.TrimPrefix(err.Error(), "data_dir "))
	}
	return err != nil
}
