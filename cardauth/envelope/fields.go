// Package envelope seals what a terminal read from a card for the hub's HSM
// process, which alone can open it: HPKE (RFC 9180) base mode with X25519,
// HKDF-SHA-256 and AES-256-GCM, info = terminal ‖ card session ‖ counter. The
// terminal carries the envelope unread.
package envelope

import "github.com/shebao-pay/shebao/si"

// Fields is what an envelope holds (docs/spec/keys-and-macs.md).
type Fields struct {
	IDNumber si.IDNumber
	Name     si.Name
	CardID   string // 卡识别码, 32 hexadecimal digits (16 bytes)
	CardNo   string // 卡号, 9 characters
	ATR      []byte
	PAN      si.PAN
	PSN      string // 2 digits
	Track2   si.Track2
	Expiry   string // YYMM
	IssuerID string // tag 9F61 if the card has it, else empty
}
