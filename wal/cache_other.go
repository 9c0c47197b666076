//go:build !linux

package wal

import "os"

// dropCache does nothing: there is no portable way to have a file's cached pages forgotten.
func dropCache(*os.File) {}
