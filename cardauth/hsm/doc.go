// Package hsm is the HSM process seen from outside: the payment verbs ([Verbs]),
// their wire form over a Unix socket, the [Client] that settlement uses, and
// [Serve] and [RunProcess] for the process itself.
//
// The verbs are those of a payment HSM: make and check codes in batches, import
// working keys, translate a PIN block, open a card envelope, hash and seal
// persons, seal memos. No verb gives out a clear key or PIN. cardauth/softhsm
// implements them in software.
//
// Wire form: frames of length u32, id u32, verb or status u8, body, all big
// endian; see wire.go and docs/spec/keys-and-macs.md. Many requests are in
// flight; answers come in any order and are matched by id. Requests that wait
// when the writer is free leave in one write.
//
// Caveats: handles of working keys die with the process. A client that lost it
// gets hsmapi.ErrAway at once, reconnects by itself, and then hsmapi.ErrNoKey for
// the handles of before, upon which a link signs on again. A request whose answer
// did not come may have been done or not; every verb may be asked again.
package hsm

import (
	"context"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// Verbs is what an HSM does. Client offers the same methods on the other side of
// the socket. Errors are those of hsmapi, possibly with a text around them.
type Verbs interface {
	// MAC makes and checks codes in place. The error is the first job's that could
	// not be done; the other jobs are done.
	MAC(ctx context.Context, jobs []hsmapi.MACJob) error
	ImportDE62(ctx context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error)
	ImportTR31(ctx context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error)
	TranslatePIN(ctx context.Context, r hsmapi.TranslatePIN) (si.PINBlock, error)
	OpenCard(ctx context.Context, r hsmapi.OpenCard) (hsmapi.CardOpened, error)
	// EnvelopeKey is the public key that terminals seal card envelopes to.
	EnvelopeKey(ctx context.Context) ([]byte, error)
	Hash(ctx context.Context, kind hsmapi.HashKind, value string) (si.Hash, error)
	HashIDs(ctx context.Context, ids []si.IDNumber) ([]si.Hash, error)
	HashCards(ctx context.Context, cards []hsmapi.CardRecord) ([]hsmapi.CardHashes, error)
	SealPersons(ctx context.Context, persons []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error)
	OpenPerson(ctx context.Context, blob []byte) (hsmapi.PersonView, error)
	OpenPersons(ctx context.Context, blobs [][]byte) ([]hsmapi.PersonView, error)
	RevisePersons(ctx context.Context, persons []hsmapi.PersonRevision) ([]hsmapi.PersonRevised, error)
	SealMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error)
	OpenMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error)
}
