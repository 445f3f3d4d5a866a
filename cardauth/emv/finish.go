package emv

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// Answer is what came back from the bank for the chip.
type Answer struct {
	Approved bool
	Answered bool   // false: nothing came in time
	ARC      string // two characters
	Auth     []byte // value of tag 91: ARPC 8, ARC 2
	Scripts  []byte // templates 71 and 72
}

// Verdict is the card's last word.
type Verdict uint8

// The verdicts.
const (
	Accepted       Verdict = iota + 1 // TC
	Declined                          // AAC, or anything but a TC
	IssuerUnproven                    // the card did not accept the issuer's proof
)

// Bounds of issuer scripts: DE 55, in which they come, has at most 255 bytes.
const (
	MaxScriptBytes    = 255
	MaxScripts        = 8
	maxScriptSequence = 0x0F // sequence numbers above 14 are written as F
)

// Authorisation response codes that the terminal makes itself (EMV 4.3 Book 4,
// Annex A6).
const arcUnable = "Z3" // unable to go online, declined offline

// Finish gives the card the issuer's proof, runs the issuer's scripts and takes
// the second cryptogram. An error means that the card did not say its last word:
// it was pulled, reset or mute.
func (x *Transaction) Finish(t apdu.Transmitter, a Answer) (Verdict, error) {
	if x.step != asked {
		return 0, ErrOrder
	}
	x.step = done
	x.terminal[TagARC] = []byte(a.code())
	approved := a.Answered && a.Approved
	proven, err := x.externalAuthenticate(t, a)
	if err != nil {
		return 0, err
	}
	if a.Answered {
		if err := x.runScripts(t, a.Scripts, TagScriptBefore, tvrScriptBefore); err != nil {
			return 0, err
		}
	}
	kind := byte(cidAAC)
	if approved && proven {
		kind = cidTC
	}
	cid, err := x.generateAC(t, kind, TagCDOL2)
	if err != nil && transport(err) {
		return 0, err
	}
	accepted := err == nil && cid&cidMask == cidTC
	if a.Answered {
		if err := x.runScripts(t, a.Scripts, TagScriptAfter, tvrScriptAfter); err != nil && transport(err) {
			return x.verdict(accepted, proven, kind), nil // the last word was said before
		}
	}
	return x.verdict(accepted, proven, kind), nil
}

// verdict sorts the end of a transaction. A TC that nobody asked for is none.
func (x *Transaction) verdict(accepted, proven bool, kind byte) Verdict {
	switch {
	case !proven:
		return IssuerUnproven
	case accepted && kind == cidTC:
		return Accepted
	}
	return Declined
}

// code is the ARC for the card: the bank's own, or what stands for it.
func (a *Answer) code() string {
	switch {
	case !a.Answered:
		return arcUnable
	case len(a.ARC) == 2:
		return a.ARC
	case a.Approved:
		return "00"
	}
	return "05"
}

// externalAuthenticate shows the issuer's proof to the card, once, where the
// card can judge it and the issuer sent one. Otherwise the proof goes into
// CDOL2 if the card asks for tag 91 there.
func (x *Transaction) externalAuthenticate(t apdu.Transmitter, a Answer) (proven bool, err error) {
	if !a.Answered || len(a.Auth) == 0 {
		return true, nil
	}
	if len(a.Auth) < 8 || len(a.Auth) > 16 {
		x.terminal[TagTVR][4] |= tvrIssuerAuth
		return false, nil
	}
	x.terminal[TagIssuerAuth] = bytes.Clone(a.Auth)
	if x.card[TagAIP][0]&aipIssuerAuth == 0 {
		return true, nil
	}
	_, sw, err := apdu.Send(t, apdu.Command{INS: 0x82, Data: a.Auth, Le: apdu.NoLe})
	if err != nil {
		return false, err
	}
	if sw != apdu.OK {
		x.terminal[TagTVR][4] |= tvrIssuerAuth
		return false, nil
	}
	return true, nil
}

// runScripts runs the issuer's scripts of one kind and notes their results in
// DF31. A script stops at its first failing command; the next script still runs.
func (x *Transaction) runScripts(t apdu.Transmitter, all []byte, kind tlv.Tag, failed byte) error {
	if len(all) == 0 {
		return nil
	}
	templates, err := tlv.Parse(all)
	if err != nil || len(all) > MaxScriptBytes || len(templates) > MaxScripts {
		x.noteScript(0, nil, false, failed)
		return nil
	}
	for _, script := range templates {
		if script.Tag != kind {
			continue
		}
		if err := x.runScript(t, script.Value, failed); err != nil {
			return err
		}
	}
	return nil
}

// runScript runs one script.
func (x *Transaction) runScript(t apdu.Transmitter, script []byte, failed byte) error {
	items, err := tlv.Parse(script)
	if err != nil {
		x.noteScript(0, nil, false, failed)
		return nil
	}
	id, _ := items.Find(TagScriptID)
	sequence := 0
	for _, item := range items {
		if item.Tag != TagScriptCommand {
			continue
		}
		sequence++
		c, err := apdu.Parse(item.Value)
		if err != nil {
			x.noteScript(sequence, id, false, failed)
			return nil
		}
		_, sw, err := apdu.Send(t, c)
		if err != nil {
			return err
		}
		if sw1 := sw >> 8; sw1 != 0x90 && sw1 != 0x62 && sw1 != 0x63 {
			x.noteScript(sequence, id, false, failed)
			return nil
		}
	}
	x.noteScript(0, id, true, failed)
	return nil
}

// noteScript appends one script's result: 2 done or 1 failed with the number of
// the failing command, then the script's identifier.
func (x *Transaction) noteScript(sequence int, id []byte, ok bool, failed byte) {
	result := byte(0x20)
	if !ok {
		result = 0x10 | byte(min(sequence, maxScriptSequence))
		x.terminal[TagTVR][4] |= failed
	}
	var r [5]byte
	r[0] = result
	copy(r[1:], id)
	x.terminal[TagScriptResults] = append(x.terminal[TagScriptResults], r[:]...)
}

// RequestTags are the data objects of a request's DE 55 in the usual order. The
// first [coreTags] of them must be there; the others go where the card or the
// terminal has them.
var RequestTags = []tlv.Tag{
	TagCryptogram, TagCID, TagIAD, TagUnpredictable, TagATC, TagTVR, TagDate, TagType,
	TagAmount, TagCurrency, TagAIP, TagCountry, TagAmountOther, TagCapabilities,
	TagCVMResults, TagTerminalType, TagSerial, TagDFName, TagVersion, TagSequence,
}

// ReversalTags are those of a reversal and of the card's last word.
var ReversalTags = []tlv.Tag{TagTVR, TagSerial, TagIAD, TagATC, TagScriptResults}

// coreTags is the number of tags at the head of RequestTags without which no
// bank can judge a request.
const coreTags = 14

// MaxDE55 is the length that DE 55 can carry (LLLVAR, at most 255 bytes).
const MaxDE55 = 255

// DE55 writes the data objects of the list in its order. An absent object that
// every request needs is an error, any other is left out.
func (x *Transaction) DE55(list []tlv.Tag) ([]byte, error) {
	var out []byte
	for _, t := range list {
		v, _ := x.value(t)
		if v == nil {
			for _, core := range RequestTags[:coreTags] {
				if t == core {
					return nil, fmt.Errorf("%w: no %v for DE 55", ErrRecords, t)
				}
			}
			continue
		}
		out = tlv.Append(out, t, v)
	}
	if len(out) > MaxDE55 {
		return nil, fmt.Errorf("emv: DE 55 of %d bytes: the tag list is too long for this card", len(out))
	}
	return out, nil
}

// transport tells whether an exchange failed on the way, not by the card's word.
func transport(err error) bool {
	var status *apdu.StatusError
	return !errors.As(err, &status) && !errors.Is(err, ErrRecords)
}
