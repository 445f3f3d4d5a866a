// Package faultfs is a file system that knows what a power failure would leave,
// for tests of what must survive one.
//
// A [Disk] is in memory. Its readers see what was written, as on any file system;
// beside it the disk keeps what is durable: the sectors that a Sync covered and
// the names that a SyncDir covered. [Disk.Crash] ends every open file and goes
// back to that, and of the rest each sector of 512 bytes and each change of a name
// is kept, lost or torn by the seed, so that writes also reach the device in
// another order than they were made. A sync that failed has lost its sectors for
// good, whatever a later sync says. [Disk.FailAt] makes the nth call of a kind
// fail.
//
// Two ways lead to it. Code that takes its files through an interface gets the
// Disk itself. For code that does not, such as bbolt and whole programs, [Mount]
// shows it to the kernel through FUSE.
//
// Left out: links, modes, times, renaming folders, and reads that fail or lie.
package faultfs
