// Package stage puts the whole system on one machine: the real programs
// (settled, its HSM process, terminald) as child processes, and around them
// what stands for hardware, banks and people: bank hosts, a PIN pad, a printer,
// cards in a private pcscd. The demo, the one-citizen play, the load generator
// and the end-to-end tests all stand on it, so what they show is one thing.
//
// Everything lies in one directory: keys and certificates made once (test keys,
// worth nothing), node files, data, logs. A second start finds it and goes on.
package stage
