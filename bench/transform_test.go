package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirlog/weir/bench/transform"
)

func TestTransformRound_MeasuresInAProcessOfItsOwn(t *testing.T) {
	l := newLab(t)
	l.seconds, l.profiles = 0.01, filepath.Join(t.TempDir(), "profiles")
	c := transformCase{script: contract, eventBytes: 320}
	round, err := l.transformRound(t.Context(), &c, transformRow{transform.WeirsLua, 2}, true)
	if err != nil {
		t.Fatal(err)
	}
	if round.CoreRate <= 0 || round.Transformed <= 0 || round.AllocatedBytes <= 0 || round.WorkerKilobytes <= 0 || round.PeakMegabytes <= 1 {
		t.Errorf("%+v", round)
	}
	for _, kind := range []string{"cpu", "allocs"} {
		file := filepath.Join(l.profiles, "transform-weir-s-lua-2-cores-contract-s-script-320-b."+kind+".pprof")
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("profile: %v, %v", info, err)
		}
	}
	if left, err := os.ReadDir(l.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestTransformRound_SaysWhyItFailed(t *testing.T) {
	l := newLab(t)
	for name, source := range map[string]string{"events became 0 documents": "function transform() end", "oops": "function transform() error('oops') end"} {
		c := transformCase{script: benchScript{"bad", []byte(source)}, eventBytes: 320}
		if _, err := l.transformRound(t.Context(), &c, transformRow{transform.WeirsLua, 1}, false); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

func TestTransformCases_StandBesideThePlainWay(t *testing.T) {
	for _, c := range transformCases {
		plain := slices.IndexFunc(c.rows, func(r transformRow) bool { return r.way == transform.Plain })
		lua := slices.IndexFunc(c.rows, func(r transformRow) bool { return r.way == transform.WeirsLua })
		if plain < 0 || lua < plain || c.eventBytes < transform.MinEventBytes || len(c.script.source) == 0 {
			t.Errorf("%s: %+v", c.name(), c.rows)
		}
		for _, r := range c.rows {
			if _, err := transform.ByName(r.way); err != nil || r.goroutines < 1 {
				t.Errorf("%s: %+v: %v", c.name(), r, err)
			}
		}
	}
}
