//go:build linux

package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/weirlog/weir/wal"
)

// How a life of the model begins and ends.

// stop is an orderly stop and a start on the same directory.
func (m *modelMachine) stop(t *rapid.T) {
	drain := rapid.Bool().Draw(t, "drain")
	if err := m.life.stopOrderly(drain); err != nil {
		t.Fatalf("stop: %v", err)
	}
	m.sink.tell(m.ref)
	dir := m.life.dir
	m.life = nil
	m.start(t, dir)
}

// crash ends a life with something under way, and starts another one on what may be left of its files.
func (m *modelMachine) crash(t *rapid.T) {
	disk := m.life.disk
	if rapid.Bool().Draw(t, "something fails before") {
		disk.arm(drawFault(t, "fails"))
	}
	if rapid.Bool().Draw(t, "in the middle of something") {
		disk.holdAt(drawFault(t, "in"))
	}
	var asks []*modelAsk
	for range rapid.IntRange(0, 3).Draw(t, "appends") {
		asks = append(asks, m.ask(m.draw(t)))
	}
	if rapid.Bool().Draw(t, "later") {
		m.pass()
	}
	m.hear(t, asks...)
	m.ref.stands(m.life.checkpointed(), m.life.log.FirstOffset())
	dir := m.nextDir()
	disk.crashed(t, m.life.dir, dir)
	m.life.abandon()
	m.life = nil
	m.start(t, dir)
}

// start begins a life. It may fail once, or end in a crash itself, before it succeeds.
func (m *modelMachine) start(t *rapid.T, dir string) {
	disk := newModelDisk(layoutOf(dir).wal)
	switch how := rapid.SampledFrom([]string{"succeeds", "fails", "ends"}).Draw(t, "start"); how {
	case "fails":
		disk.arm(drawFault(t, "fails"))
	case "ends":
		disk.holdAt(drawFault(t, "in"))
	}
	for try := 0; ; try++ {
		var life *modelLife
		var err error
		started := make(chan struct{})
		go func() {
			defer close(started)
			life, err = startModelLife(dir, disk, m.sink, m.sizes, m.found)
		}()
		m.begun = func() {
			disk.heal()
			<-started
			if life != nil {
				life.abandon()
			}
		}
		synctest.Wait()
		if disk.isHeld() {
			next := m.nextDir()
			disk.crashed(t, dir, next)
			m.begun()
			dir, disk = next, newModelDisk(layoutOf(next).wal)
			continue
		}
		<-started
		m.begun = nil
		disk.heal()
		if err == nil {
			m.life = life
			break
		}
		if try > 1 {
			t.Fatalf("it does not start: %v", err)
		}
		disk.readAgain()
	}
	if m.epochs[m.life.log.Epoch()] {
		m.ref.wrong(&m.ref.doubled, "an epoch begins again")
	}
	m.epochs[m.life.log.Epoch()] = true
	m.require(t)
}

// found tells the reference what a start found in the log.
func (m *modelMachine) found(log *wal.Log) error {
	recs, err := readAll(log, log.FirstOffset())
	if err == nil {
		m.ref.reopened(log.FirstOffset(), recs)
	}
	return err
}

// finish lets everything be delivered and compares all that there is.
func (m *modelMachine) finish(t *rapid.T) {
	m.life.disk.heal()
	m.life.keeping.Store(noTrouble)
	m.life.storing.Store(noTrouble)
	m.sink.obey(true)
	m.pass()
	m.pass()
	last := m.ask([]*modelEvent{{n: m.events + 1, kind: "plain", raw: fmt.Appendf(nil, `{"n":%d,"kind":"plain","pad":""}`, m.events+1)}})
	if m.hear(t, last); last.err != nil {
		m.ref.wrong(&m.ref.byHand, "everything is delivered, and it takes no events: %v", last.err)
	}
	m.pass()
	m.check(t)
	if m.ref.checkpoint != m.ref.end() || len(m.life.log.Segments()) > 2 {
		m.ref.wrong(&m.ref.byHand, "everything could be delivered, the checkpoint is at %d of %d, and the log has %d segments", m.ref.checkpoint, m.ref.end(), len(m.life.log.Segments()))
	}
	dir, sends := m.life.dir, m.sink.sends
	if err := m.life.stopOrderly(false); err != nil {
		t.Fatalf("stop: %v", err)
	}
	var err error
	if m.life, err = startModelLife(dir, newModelDisk(layoutOf(dir).wal), m.sink, m.sizes, m.found); err != nil {
		t.Fatalf("the last start: %v", err)
	}
	m.pass()
	m.check(t)
	if m.sink.sends != sends {
		m.ref.wrong(&m.ref.doubled, "%d documents are sent though everything was settled", m.sink.sends-sends)
	}
	letters, err := m.life.list()
	if err != nil {
		t.Fatalf("letters: %v", err)
	}
	m.ref.ends(maps.Clone(m.sink.stored), letters)
	damaged, err := filepath.Glob(filepath.Join(layoutOf(m.life.dir).repair, "*.damaged"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range damaged {
		m.ref.wrong(&m.ref.invented, "damage was set aside, and there was none: %s", filepath.Base(path))
	}
	m.require(t)
	if err := m.life.stopOrderly(true); err != nil {
		t.Fatalf("the last stop: %v", err)
	}
	m.life = nil
}
