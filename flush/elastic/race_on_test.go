//go:build race

package elastic_test

// raceEnabled makes tests smaller that take ten times as long under the race detector.
const raceEnabled = true
