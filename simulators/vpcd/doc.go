// Package vpcd shows simulated cards to a real pcscd, so that everything from
// the PC/SC library upwards is the code that runs at a bank.
//
// Nouns: a [Rig] is a private pcscd with virtual readers (vsmartcard-vpcd), in a
// network namespace of its own because the driver listens on all interfaces; a
// player speaks the driver's wire for one inserted card. The rig runs in a child
// process of the calling program, which calls [ChildMain] where its arguments
// say so, and which ends every process it started when its parent closes the
// control socket or dies.
//
// The PC/SC library finds the private pcscd by the environment variable
// PCSCLITE_CSOCK_NAME, which must hold [Rig.Socket] before the first PC/SC call
// of a process; the library remembers it for ever, so one process uses one rig.
//
// Needs the packages pcscd and vsmartcard-vpcd, and either root or unprivileged
// user namespaces. Linux only. Never for a machine that serves anyone else.
//
// Known traps of the driver and their cures are in docs/spec/card.md.
package vpcd
