package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// fromLetters captures the events of dead letters, as they were received: an edited letter's, before the edit.
func (c *goldenCapture) fromLetters(ctx context.Context, cfg *Config, streams map[string]bool) error {
	params, err := c.flags.filter.values(c.a)
	if err != nil {
		return err
	}
	client, err := c.a.openAdminFor(ctx, cfg, offlineNeeds{letters: true})
	if err != nil {
		return err
	}
	err = eachLetter(ctx, client, c.flags.keys, params, func(line []byte) error {
		var view letterView
		if err := json.Unmarshal(line, &view); err != nil {
			return fmt.Errorf("read the service's answer: %w", err)
		}
		if streams != nil && !streams[view.Stream] {
			return nil
		}
		return c.take(eventOfLetter(&view))
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return closing(client, err)
}

func eventOfLetter(view *letterView) lua.GoldenEvent {
	e := lua.GoldenEvent{
		Name: fmt.Sprintf("%s %s %d", view.Stage, view.Type, view.Key.Offset), From: "letter " + view.Key.String(),
		Stream: view.Stream, Offset: view.Key.Offset, ReceivedAt: view.ReceivedAt, Remote: view.Remote,
	}
	for _, text := range []*exactBytes{view.Original, view.Event} {
		if text != nil {
			e.Event = text.Bytes
			break
		}
	}
	return e
}

// fromLog captures the last events of the log.
func (c *goldenCapture) fromLog(ctx context.Context, cfg *Config, streams map[string]bool) error {
	client, err := c.a.openAdminFor(ctx, cfg, offlineNeeds{})
	if err != nil {
		return err
	}
	events, err := lastEvents(ctx, client, c.flags.records, streams)
	for i := 0; i < len(events) && err == nil; i++ {
		err = c.take(events[i])
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return closing(client, err)
}

// lastEvents reads the last n events of the streams, the oldest first. It goes backwards through the log in
// windows that grow, for nobody knows how many records of a window are events of these streams.
func lastEvents(ctx context.Context, client *adminClient, n int, streams map[string]bool) ([]lua.GoldenEvent, error) {
	var rep walReport
	if err := client.get(ctx, walPath, nil, &rep); err != nil {
		return nil, err
	}
	first, to := max(rep.Status.FirstOffset, 1), rep.Status.DurableOffset
	var events []lua.GoldenEvent
	bytes := 0
	for window := wal.Offset(n); to >= first && len(events) < n; window *= 4 {
		from := first
		if to-first >= window {
			from = to - window + 1
		}
		part, err := recordEvents(ctx, client, from, to, n-len(events), streams)
		if err != nil {
			return nil, err
		}
		for i := range part {
			bytes += len(part[i].Event)
		}
		if bytes > lua.MaxGoldenBytes {
			return nil, errTooLarge
		}
		events, to = append(part, events...), from-1
	}
	return events, nil
}

// errTooLarge is returned for more than a file of golden events holds.
var errTooLarge = fmt.Errorf("the events take more than %s: capture fewer", humanBytes(lua.MaxGoldenBytes))

// recordEvents reads the last n events from one offset to another.
func recordEvents(ctx context.Context, client *adminClient, from, to wal.Offset, n int, streams map[string]bool) ([]lua.GoldenEvent, error) {
	params := url.Values{"from": {strconv.FormatUint(uint64(from), 10)}, "to": {strconv.FormatUint(uint64(to), 10)}}
	var events []lua.GoldenEvent
	bytes := 0
	_, err := client.lines(ctx, http.MethodGet, walPath+"/records", params, nil, func(line []byte) error {
		var rec recordView
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("read the service's answer: %w", err)
		}
		if rec.Rejected || rec.Event == nil || streams != nil && !streams[rec.Stream] {
			return nil
		}
		if len(events) == n {
			bytes -= len(events[0].Event)
			events = events[1:]
		}
		if bytes += len(rec.Event.Bytes); bytes > lua.MaxGoldenBytes {
			return errTooLarge
		}
		events = append(events, eventOfRecord(&rec))
		return nil
	})
	return events, err
}

func eventOfRecord(rec *recordView) lua.GoldenEvent {
	return lua.GoldenEvent{
		Name: fmt.Sprintf("%s %d", rec.Stream, rec.Offset), From: fmt.Sprintf("record %s-%d", rec.Epoch, rec.Offset),
		Stream: rec.Stream, Offset: rec.Offset, ReceivedAt: rec.ReceivedAt, Remote: rec.Remote, Event: rec.Event.Bytes,
	}
}
