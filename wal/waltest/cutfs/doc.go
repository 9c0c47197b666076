// Package cutfs finds out what a power cut may leave of a directory.
//
// FS is a file system in user space (FUSE) that passes every operation of the process under test on to a directory
// below, records it, and fails those that a Fault names. A Recording is what happened, in order. From its operations
// a Model makes the states that the disk may be in after a cut: in the ordered model a prefix of the operations, in the
// reordering model anything that POSIX allows for what was not fsynced. A State is written to a directory, so that the
// real program can be started on it.
//
// Recording, models and states are plain Go and run anywhere; FS needs Linux and the right to mount.
package cutfs
