// Package chipcard is a social security card as a byte machine: commands in,
// answers out, with protocol T=0 as a reader sees it (61xx, 6Cxx). It holds the
// social security application and a PBOC bank application whose cryptograms are
// real, made from test keys.
//
// A [Card] is built from [Data], which is plain and can be written as JSON. What
// a card keeps when it is pulled is its [State]; the owner saves it. Each
// [Fault] is something real cards and forgers do, switched on at one command.
//
// The same object serves tests in process and the virtual reader of vpcd. It is
// safe for concurrent use. All persons, numbers and keys in it are fictional.
//
// Left out: the applications DF01 to DF07, external authentication of version
// 3.0 (EF06 answers 6982), offline data authentication, and the check of the
// MAC of issuer scripts.
package chipcard
