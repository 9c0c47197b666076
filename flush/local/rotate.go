package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// partBytes is the size at which a part is sealed.
func (s *Store) partBytes() int64 { return s.opts.MaxBytes / partsPerStore }

// active returns the part that is written to.
func (s *Store) active() *part {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.parts[len(s.parts)-1]
}

// snapshot returns the parts, oldest first.
func (s *Store) snapshot() []*part {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.parts)
}

// openActive opens the newest part for writing, or a new one where there is none, or it is damaged or
// sealed.
func (s *Store) openActive() error {
	for len(s.parts) > 0 && s.parts[len(s.parts)-1].filter == nil {
		p := s.parts[len(s.parts)-1]
		err := p.openForWriting(s.queue)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		close(p.ready)
		if err == nil {
			return nil
		}
		s.setAside(p, err)
	}
	return s.addPart()
}

// addPart makes a new part and writes to it from now on. The caller holds rotation or is alone.
func (s *Store) addPart() error {
	number := uint64(1)
	s.mu.RLock()
	if n := len(s.parts); n > 0 {
		number = s.parts[n-1].number + 1
	}
	s.mu.RUnlock()
	dir := filepath.Join(s.dir, partName(number))
	for taken(dir) {
		number++
		dir = filepath.Join(s.dir, partName(number))
	}
	if err := createPart(dir, s.queue); err != nil {
		return err
	}
	p := newPart(dir, number)
	if err := p.openForWriting(s.queue); err != nil {
		return err
	}
	close(p.ready)
	s.mu.Lock()
	s.parts = append(s.parts, p)
	s.mu.Unlock()
	return nil
}

// taken reports whether a part of that name is there, or was and is set aside.
func taken(dir string) bool {
	for _, name := range []string{dir, dir + suffixDamaged} {
		if _, err := os.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

// setAside takes a damaged part out of the store and keeps its files under another name. The caller
// holds p.mu or is alone.
func (s *Store) setAside(p *part, cause error) {
	s.log.Error("part of the embedded destination set aside; its documents cannot be found any more",
		"part", p.number, "kept", filepath.Base(p.dir)+suffixDamaged, "error", cause)
	s.metrics.countDamaged()
	p.gone = true
	if err := p.closeLocked(); err != nil {
		s.log.Error("damaged part did not close", "part", p.number, "error", err)
	}
	kept := p.dir + suffixDamaged
	err := os.Rename(p.dir, kept)
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		// It stays where it is and is set aside at the next start.
		s.log.Error("damaged part could not be renamed", "part", p.number, "error", err)
		kept = p.dir
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = slices.DeleteFunc(slices.Clone(s.parts), func(q *part) bool { return q == p })
	s.other = append(s.other, leftover{dir: kept, bytes: p.bytes.Load()})
}

// heal opens a part again whose write failed: only then does its index show what is on disk. Where that
// is impossible another part takes its place.
func (s *Store) heal(p *part) error {
	s.rotation.RLock()
	broken := p.failure.broken.Load()
	s.rotation.RUnlock()
	if !broken {
		return nil
	}
	s.rotation.Lock()
	defer s.rotation.Unlock()
	if s.active() != p || !p.failure.broken.Load() {
		return nil // somebody else did
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure.isFatal() {
		return s.leaveBehind(p)
	}
	if err := p.closeLocked(); err != nil {
		return err
	}
	damage := p.openForWriting(s.queue)
	if !errors.Is(damage, ErrDamaged) {
		return damage
	}
	if err := s.addPart(); err != nil {
		return err
	}
	s.setAside(p, damage)
	return nil
}

// leaveBehind gives up an index whose goroutines are gone: it can neither be closed nor opened again by
// this process. Its files are whole and open at the next start; until then they are not searched.
func (s *Store) leaveBehind(p *part) error {
	if err := s.addPart(); err != nil {
		return err
	}
	s.log.Error("part of the embedded destination is out of use until the next start", "part", p.number)
	failures.Delete(p.dir)
	p.gone, p.index = true, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = slices.DeleteFunc(slices.Clone(s.parts), func(q *part) bool { return q == p })
	s.other = append(s.other, leftover{dir: p.dir, bytes: p.bytes.Load(), held: true})
	return nil
}

// tidy seals the active part when it is large enough and removes the oldest while there is too much.
func (s *Store) tidy() {
	if err := s.rotate(); err != nil {
		s.log.Error("embedded destination cannot begin a new part", "error", err)
	}
	if err := s.trim(); err != nil {
		s.log.Error("embedded destination cannot remove its oldest part", "error", err)
	}
	s.metrics.setStats(s.Stats())
}

func (s *Store) rotate() error {
	if s.active().bytes.Load() < s.partBytes() {
		return nil
	}
	s.rotation.Lock()
	defer s.rotation.Unlock()
	p := s.active()
	if p.bytes.Load() < s.partBytes() {
		return nil // somebody else did
	}
	if err := s.addPart(); err != nil {
		return err
	}
	p.mu.Lock() // waits for searches in it
	err := p.closeLocked()
	p.mu.Unlock()
	return errors.Join(err, s.loadPart(p))
}

// trim removes oldest parts until what is stored, and room for one part to be merged or written, fit
// the limit. Parts set aside go before any that can be read.
func (s *Store) trim() error {
	for {
		if s.Stats().Bytes+s.partBytes() <= s.opts.MaxBytes {
			return nil
		}
		done, err := s.removeOldest()
		if done || err != nil {
			return err
		}
	}
}

// removeOldest removes one part; done when there is none that may go.
func (s *Store) removeOldest() (done bool, err error) {
	s.mu.Lock()
	if i := slices.IndexFunc(s.other, func(l leftover) bool { return !l.held }); i >= 0 {
		l := s.other[i]
		s.other = slices.Delete(s.other, i, i+1)
		s.mu.Unlock()
		s.log.Warn("damaged part removed for space", "part", filepath.Base(l.dir), "bytes", l.bytes)
		return false, discard(l.dir)
	}
	if len(s.parts) < 2 {
		s.mu.Unlock()
		return true, nil
	}
	p := s.parts[0]
	s.parts = slices.Clone(s.parts[1:])
	s.mu.Unlock()

	p.mu.Lock() // waits for searches in it
	defer p.mu.Unlock()
	p.gone = true
	documents := p.summary.get().Documents
	if err := p.closeLocked(); err != nil {
		return false, err
	}
	if err := discard(p.dir); err != nil {
		return false, fmt.Errorf("remove part %d: %w", p.number, err)
	}
	s.metrics.countRemoved(documents)
	s.log.Info("oldest documents removed", "part", p.number, "documents", documents, "limit", s.opts.MaxBytes)
	return false, nil
}
