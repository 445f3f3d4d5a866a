// Package chain links the batches of the log by SHA-256, results included, so
// that a changed, removed or moved batch, and a node that computed another
// result, are found.
//
// The head before the first batch is a function of the region alone. The chain
// is not keyed: it finds accidents and divergence, not someone who can write
// the whole log anew; a signature over the day's head does that.
//
// Bytes: docs/format/ledger-log.md.
package chain

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/shebao-pay/shebao/si"
)

// Head is the hash over everything up to one batch.
type Head = [sha256.Size]byte

// seedText begins the hash that begins a chain.
const seedText = "shebao/ledger/v1"

// stepPrefix keeps a step's hash apart from every other hash of the ledger.
const stepPrefix = 0x01

// Genesis is the head of a region's empty ledger.
func Genesis(area si.AreaCode) Head {
	return sha256.Sum256([]byte(seedText + "\x00" + area.String()))
}

// Next is the head after the batch at index.
func Next(prev Head, index uint64, batch, results Head) Head {
	var b [1 + 3*sha256.Size + 8]byte
	b[0] = stepPrefix
	n := 1
	n += copy(b[n:], prev[:])
	binary.LittleEndian.PutUint64(b[n:], index)
	n += 8
	n += copy(b[n:], batch[:])
	copy(b[n:], results[:])
	return sha256.Sum256(b[:])
}
