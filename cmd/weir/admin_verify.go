package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"

	"github.com/weirlog/weir/wal"
)

// The parts of a data directory that are proven, by their paths.
const (
	partLog     = "wal"
	partDead    = "dead"
	partRefused = "dead/refused"
	partDB      = "weir.db"
)

// verifyLine is a line of a verification's answer: how far it is, or at the end the report.
type verifyLine struct {
	Bytes  int64         `json:"bytes,omitempty"`
	Total  int64         `json:"total,omitempty"`
	Report *verifyReport `json:"report,omitempty"`
	Error  *errorDetail  `json:"error,omitempty"`
}

type verifyReport struct {
	Records uint64       `json:"records"` // proven, in all logs
	Frames  uint64       `json:"frames"`
	Bytes   int64        `json:"bytes"` // of the records
	Lost    uint64       `json:"lost"`  // records that cannot be read
	Damage  []damageView `json:"damage"`
	Parts   []partReport `json:"parts"`
}

// partReport is the proof of one part.
type partReport struct {
	Part    string `json:"part"`
	Records uint64 `json:"records"`
	Frames  uint64 `json:"frames"`
	Bytes   int64  `json:"bytes"` // on disk
	Lost    uint64 `json:"lost"`
	Damaged int    `json:"damaged"` // places
	// Clean and TornBytes are as in walReport. A torn tail is no damage.
	Clean     *bool `json:"clean,omitempty"`
	TornBytes int64 `json:"torn_bytes,omitempty"`
}

// prover proves one part. progress hears of the bytes done so far.
type prover struct {
	part  string
	bytes int64
	prove func(ctx context.Context, progress func(int64)) (partReport, []damageView, int64, error)
}

// provers returns what there is to prove: of a running service beside its work, else of a directory as it lies.
func (a *admin) provers() []prover {
	if a.view != nil {
		return a.view.provers()
	}
	db := prover{part: partDB, bytes: fileBytes(layoutOf(a.cfg.DataDir).db)}
	var indexFaults []error
	running := func(part string, bytes int64, verify func(context.Context, func(int64)) (wal.Report, error)) prover {
		return prover{part, bytes, func(ctx context.Context, progress func(int64)) (partReport, []damageView, int64, error) {
			rep, err := verify(ctx, progress)
			p, damage := newPartReport(part, bytes, &rep)
			return p, damage, rep.Bytes, err
		}}
	}
	letters, refused := a.letters.Status(), a.refused.Status()
	list := []prover{
		running(partLog, a.log.Status().Bytes, func(ctx context.Context, progress func(int64)) (wal.Report, error) {
			rep, err := a.log.Verify(ctx, progress)
			first := a.log.Status().FirstOffset
			rep.Damage = slices.DeleteFunc(rep.Damage, func(d *wal.CorruptionError) bool { return reclaimed(d, first) })
			return rep, err
		}),
		running(partDead, letters.LogBytes, func(ctx context.Context, progress func(int64)) (wal.Report, error) {
			rep, fault, err := a.letters.Verify(ctx, progress)
			indexFaults = append(indexFaults, indexFault(storeLetters, fault))
			return rep, err
		}),
		running(partRefused, refused.LogBytes, func(ctx context.Context, progress func(int64)) (wal.Report, error) {
			rep, fault, err := a.refused.Verify(ctx, progress)
			indexFaults = append(indexFaults, indexFault(storeRefused, fault))
			return rep, err
		}),
	}
	db.prove = func(context.Context, func(int64)) (partReport, []damageView, int64, error) {
		p, damage := newDatabaseReport(db.bytes, errors.Join(append(indexFaults, a.db.Verify())...))
		return p, damage, 0, nil
	}
	return append(list, db)
}

// provers is the same for a directory that lies still.
func (v *dataView) provers() []prover {
	lying := func(part string, s *wal.Snapshot) prover {
		bytes := s.Status().Bytes
		return prover{part, bytes, func(ctx context.Context, progress func(int64)) (partReport, []damageView, int64, error) {
			rep, err := s.Verify(ctx, progress)
			p, damage := newPartReport(part, bytes, &rep)
			clean, torn := s.Clean()
			p.Clean, p.TornBytes = &clean, torn
			return p, damage, rep.Bytes, err
		}}
	}
	bytes := fileBytes(v.dir.db)
	return []prover{
		lying(partLog, v.log), lying(partDead, v.dead), lying(partRefused, v.refused),
		{partDB, bytes, func(context.Context, func(int64)) (partReport, []damageView, int64, error) {
			p, damage := newDatabaseReport(bytes, v.databaseFault())
			return p, damage, 0, nil
		}},
	}
}

func newPartReport(part string, bytes int64, rep *wal.Report) (partReport, []damageView) {
	p := partReport{Part: part, Records: rep.Records, Frames: rep.Frames, Bytes: bytes, Lost: rep.Lost(), Damaged: len(rep.Damage)}
	damage := []damageView{}
	for _, d := range rep.Damage {
		view := *newDamageView(d)
		view.Part = part
		damage = append(damage, view)
	}
	return p, damage
}

func newDatabaseReport(bytes int64, fault error) (partReport, []damageView) {
	p := partReport{Part: partDB, Bytes: bytes}
	if fault == nil {
		return p, nil
	}
	p.Damaged = 1
	return p, []damageView{{Part: partDB, First: 1, Reason: fault.Error()}}
}

func fileBytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// proveAll runs all provers. progress hears of the bytes done and of all there are.
func proveAll(ctx context.Context, provers []prover, progress func(done, total int64)) (*verifyReport, error) {
	rep := &verifyReport{Damage: []damageView{}, Parts: []partReport{}}
	var total, before int64
	for i := range provers {
		total += provers[i].bytes
	}
	for i := range provers {
		p := &provers[i]
		part, damage, bytes, err := p.prove(ctx, func(n int64) { progress(before+n, max(total, before+n)) })
		if err != nil {
			return nil, err
		}
		before += p.bytes
		rep.Records += part.Records
		rep.Frames += part.Frames
		rep.Lost += part.Lost
		rep.Bytes += bytes
		rep.Parts = append(rep.Parts, part)
		rep.Damage = append(rep.Damage, damage...)
	}
	return rep, nil
}

// verifyWAL proves every frame and every record, telling how far it is.
func (a *admin) verifyWAL(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := newStream(w, contentTypeND)
	var lost error
	rep, err := proveAll(ctx, a.provers(), func(done, total int64) {
		if lost == nil {
			if lost = out.line(verifyLine{Bytes: done, Total: total}, false); lost != nil {
				cancel()
			}
		}
	})
	if lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	return errors.Join(out.line(verifyLine{Report: rep}, true), out.flush())
}
