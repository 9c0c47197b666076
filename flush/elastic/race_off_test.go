//go:build !race

package elastic_test

// raceEnabled: see race_on_test.go.
const raceEnabled = false
