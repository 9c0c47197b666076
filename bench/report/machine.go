package report

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine says where the figures come from.
type Machine struct {
	Cores      int     `json:"cores"`
	CPU        string  `json:"cpu"`
	MemoryGB   float64 `json:"memory_gigabytes"`
	Kernel     string  `json:"kernel"`
	FileSystem string  `json:"file_system"`
	// SyncMillis is the median time of an append of 4 KiB with its fdatasync.
	SyncMillis float64 `json:"fdatasync_ms"`
	Go         string  `json:"go"`
}

// NewMachine looks at the machine; dir is where the data of the benchmark lies.
func NewMachine(dir string, sync time.Duration) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: field("/proc/cpuinfo", "model name"), SyncMillis: sync.Seconds() * 1e3}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // "" where there is none
	m.Kernel = runtime.GOOS + " " + strings.TrimSpace(string(kernel))
	m.FileSystem = fileSystem(dir)
	kilobytes, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseFloat(kilobytes, 64); err == nil {
		m.MemoryGB = n * 1024 / 1e9
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("Machine: %d cores of %s, %.0f GB, %s, %s (append of 4 KiB with fdatasync: %.2f ms), %s; generator, target and sink share the cores.",
		m.Cores, m.CPU, m.MemoryGB, m.Kernel, m.FileSystem, m.SyncMillis, m.Go)
}

// field returns the value of the first line "name: value" of a file; "" when there is none.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
