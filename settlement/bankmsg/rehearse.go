package bankmsg

import (
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// rehearse makes every message that we send of ourselves once, with plain values.
// A profile that passes each single rule may still ask for a field that nobody
// gives a value, or give one no room; it is worst with a reversal, which must
// never be found impossible once the debit is out.
func (c *Codec) rehearse() error {
	card, err := c.rehearsalCard()
	if err != nil {
		return err
	}
	place := Place{Batch: 1}
	if len(c.p.Terminals) > 0 {
		place.Terminal = c.p.Terminals[0]
	}
	at := time.Date(2026, 11, 22, 9, 30, 15, 0, si.China)
	var rrn [12]byte
	var de7 [10]byte
	copy(rrn[:], "632600000001")
	copy(de7[:], "1122093015")
	net := NetRequest{Place: place, STAN: 1, DE7: de7, At: at}
	reversal := ReversalRequest{Place: place, STAN: 1, RRN: rrn, DE7: de7, NewDE7: de7, At: at, Amount: 1, PAN: card.PAN,
		PSN: card.PSN, Expiry: card.Expiry, Auth: "A1B2C3", Reason: "98", EMV: card.DE55}
	repeat := reversal
	repeat.Repeat = true
	inquiry := InquiryRequest{Place: place, STAN: 1, DE7: de7, At: at, Original: OriginalPayment{Batch: 1, STAN: 1, RRN: rrn, DE7: de7, At: at},
		Amount: 1, PAN: card.PAN}
	script := ScriptNotice{STAN: 1, RRN: rrn, DE7: de7, NewDE7: de7, At: at, Amount: 1, PAN: card.PAN, PSN: card.PSN, Resp: "00", DE55: card.DE55}
	var m Message
	var f Frame
	for _, one := range []struct {
		kind profile.Kind
		make func(*Message) error
	}{
		{profile.Debit, func(m *Message) error {
			return c.Debit(m, &DebitRequest{Place: place, STAN: 1, RRN: rrn, DE7: de7, At: at, Amount: 1, Card: card})
		}},
		{profile.PINProof, func(m *Message) error {
			return c.PINProof(m, &ProofRequest{Place: place, STAN: 1, RRN: rrn, DE7: de7, At: at, Card: card})
		}},
		{profile.Reversal, func(m *Message) error { return c.Reversal(m, &reversal) }},
		{profile.Reversal, func(m *Message) error { return c.Reversal(m, &repeat) }},
		{profile.StatusInquiry, func(m *Message) error { return c.StatusInquiry(m, &inquiry) }},
		{profile.ScriptNotify, func(m *Message) error { return c.ScriptNotify(m, &script) }},
		{profile.SignOn, func(m *Message) error { return c.SignOn(m, &net) }},
		{profile.SignOff, func(m *Message) error { return c.SignOff(m, &net) }},
		{profile.Echo, func(m *Message) error { return c.Echo(m, &net) }},
		{profile.KeyReset, func(m *Message) error { return c.KeyReset(m, &net) }},
	} {
		if !c.Has(one.kind) {
			continue
		}
		err := one.make(&m)
		if err == nil {
			err = c.Encode(&f, one.kind, false, &m)
		}
		if err != nil {
			return fmt.Errorf("messages.%s.request cannot be made: %w", one.kind, err)
		}
	}
	return nil
}

// rehearsalCard is a card that nobody has.
func (c *Codec) rehearsalCard() (CardPart, error) {
	const body = "629900000000000"
	last, err := si.LuhnDigit(body)
	if err != nil {
		return CardPart{}, err
	}
	pan, err := si.ParsePAN(body + string(last))
	if err != nil {
		return CardPart{}, err
	}
	track, err := si.ParseTrack2(body + string(last) + "D33122200000012345678")
	if err != nil {
		return CardPart{}, err
	}
	size := 16
	if c.p.PINFormat == si.PINFormat0TDES {
		size = 8
	}
	block, err := si.NewPINBlock(make([]byte, size))
	if err != nil {
		return CardPart{}, err
	}
	return CardPart{PAN: pan, PSN: "01", Track2: track, Expiry: "3312", PINBlock: block, DE55: []byte{0x9F, 0x36, 2, 0, 1}}, nil
}
