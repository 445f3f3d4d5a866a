package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// Bounds of one record.
const (
	// MaxBody bounds a record's text: a payment of 24 dues with the longest
	// numbers takes less than 4 KiB.
	MaxBody = 8 << 10
	// maxWord bounds the short texts of a record.
	maxWord = 64
)

// Hash is a link of the chain.
type Hash [sha256.Size]byte

// ErrRecord is wrapped by every error about a record's content.
var ErrRecord = errors.New("journal: record")

// Record is one line of the journal as it is read back.
type Record struct {
	Seq     uint64
	At      time.Time
	Entry   flow.Entry
	Payment *flow.Intent // kind "payment"
}

// KindPayment is the kind of a record that holds a payment's new state.
const KindPayment = "payment"

// link computes a record's hash from the one before it.
func link(prev Hash, seq uint64, body []byte) Hash {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], seq)
	h.Write([]byte{1})
	h.Write(prev[:])
	h.Write(n[:])
	h.Write(body)
	return Hash(h.Sum(nil))
}

// genesis is the hash before the first record of a terminal.
func genesis(terminal string) Hash {
	return sha256.Sum256([]byte("shebao/terminal-journal/v1\x00" + terminal))
}

// The JSON forms. They are private: what is stored is this package's business.
type recordJSON struct {
	Seq     uint64      `json:"seq"`
	At      int64       `json:"at_ms"`
	Session uint64      `json:"session,omitempty"`
	Kind    string      `json:"kind"`
	Screen  string      `json:"screen,omitempty"`
	Ref     string      `json:"ref,omitempty"`
	Word    string      `json:"word,omitempty"`
	Payment *intentJSON `json:"payment,omitempty"`
}

type intentJSON struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	Session  uint64     `json:"session"`
	At       int64      `json:"at_ms"`
	Bank     string     `json:"bank"`
	Lines    []lineJSON `json:"lines"`
	Total    int64      `json:"total"`
	Reason   string     `json:"reason,omitempty"`
	Incident string     `json:"incident,omitempty"`
	Receipt  string     `json:"receipt,omitempty"`
	Outcome  string     `json:"outcome,omitempty"`
	CardWord []byte     `json:"card_word,omitempty"`
	Reported bool       `json:"reported,omitempty"`
}

type lineJSON struct {
	ID      string `json:"id"`
	Version uint16 `json:"version"`
	Amount  int64  `json:"amount"`
	LateFee int64  `json:"late_fee,omitempty"`
}

func fromIntent(i *flow.Intent) *intentJSON {
	j := &intentJSON{ID: i.ID.String(), State: i.State.String(), Session: i.Session, At: i.At.UnixMilli(),
		Bank: i.Bank, Total: int64(i.Total), Reason: i.Reason, Incident: i.Incident, Receipt: i.Receipt,
		Outcome: i.Outcome, CardWord: i.CardWord, Reported: i.Reported}
	for _, l := range i.Lines {
		j.Lines = append(j.Lines, lineJSON{l.ID, l.Version, l.Amount, l.LateFee})
	}
	return j
}

// intent checks every field: what cannot have been written by this package is
// damage.
func (j *intentJSON) intent() (flow.Intent, error) {
	var i flow.Intent
	id, err := si.ParsePaymentID(j.ID)
	if err != nil || id.String() != j.ID {
		return i, fmt.Errorf("%w: payment id", ErrRecord)
	}
	state, ok := flow.ParsePayState(j.State)
	if !ok {
		return i, fmt.Errorf("%w: state %q", ErrRecord, j.State)
	}
	if len(j.Lines) == 0 || len(j.Lines) > flow.MaxDues {
		return i, fmt.Errorf("%w: %d dues", ErrRecord, len(j.Lines))
	}
	for _, s := range []string{j.Bank, j.Reason, j.Incident, j.Receipt, j.Outcome} {
		if !word(s) {
			return i, fmt.Errorf("%w: text of a payment", ErrRecord)
		}
	}
	if len(j.CardWord) > maxCardWord || len(j.CardWord) > 0 && j.Reported {
		return i, fmt.Errorf("%w: the card's word", ErrRecord)
	}
	var sum int64
	for _, l := range j.Lines {
		if !word(l.ID) || l.ID == "" || l.Amount <= 0 || l.LateFee < 0 ||
			l.Amount > int64(si.MaxFen) || l.LateFee > int64(si.MaxFen) {
			return i, fmt.Errorf("%w: a due of the payment", ErrRecord)
		}
		sum += l.Amount + l.LateFee
		i.Lines = append(i.Lines, termapi.PayLine{ID: l.ID, Version: l.Version, Amount: l.Amount, LateFee: l.LateFee})
	}
	if sum != j.Total || sum > int64(si.MaxFen) {
		return i, fmt.Errorf("%w: the dues do not add up to the total", ErrRecord)
	}
	i.ID, i.State, i.Session, i.At = id, state, j.Session, time.UnixMilli(j.At)
	i.Bank, i.Total, i.Reason, i.Incident, i.Receipt = j.Bank, si.Fen(j.Total), j.Reason, j.Incident, j.Receipt
	i.Outcome, i.CardWord, i.Reported = j.Outcome, j.CardWord, j.Reported
	return i, nil
}

// maxCardWord is the length of DE 55.
const maxCardWord = 255

// word tells whether s is short printable ASCII.
func word(s string) bool {
	if len(s) > maxWord {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// encode writes a record's body.
func encode(r *Record) ([]byte, error) {
	j := recordJSON{Seq: r.Seq, At: r.At.UnixMilli(), Session: r.Entry.Session, Kind: r.Entry.Kind,
		Screen: string(r.Entry.Screen), Ref: r.Entry.Ref, Word: r.Entry.Word}
	if r.Payment != nil {
		j.Payment = fromIntent(r.Payment)
	}
	body, err := json.Marshal(&j)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	// Check before write: what Parse would refuse is not written.
	if _, err := Parse(body); err != nil {
		return nil, err
	}
	return body, nil
}

// Parse reads a record's body. It takes exactly what this package writes.
func Parse(body []byte) (Record, error) {
	var r Record
	if len(body) > MaxBody {
		return r, fmt.Errorf("%w: %d bytes, at most %d", ErrRecord, len(body), MaxBody)
	}
	var j recordJSON
	if err := decode(body, &j); err != nil {
		return r, err
	}
	if j.Seq == 0 || j.Kind == "" {
		return r, fmt.Errorf("%w: without number or kind", ErrRecord)
	}
	for _, s := range []string{j.Kind, j.Screen, j.Ref, j.Word} {
		if !word(s) {
			return r, fmt.Errorf("%w: text", ErrRecord)
		}
	}
	if (j.Payment != nil) != (j.Kind == KindPayment) {
		return r, fmt.Errorf("%w: a payment in a record of kind %q", ErrRecord, j.Kind)
	}
	r = Record{Seq: j.Seq, At: time.UnixMilli(j.At), Entry: flow.Entry{Session: j.Session, Kind: j.Kind,
		Screen: flow.ScreenID(j.Screen), Ref: j.Ref, Word: j.Word}}
	if j.Payment != nil {
		i, err := j.Payment.intent()
		if err != nil {
			return Record{}, err
		}
		r.Payment = &i
	}
	return r, nil
}

// parseIntent reads a payment of the payments bucket.
func parseIntent(body []byte) (flow.Intent, error) {
	var j intentJSON
	if len(body) > MaxBody {
		return flow.Intent{}, fmt.Errorf("%w: %d bytes, at most %d", ErrRecord, len(body), MaxBody)
	}
	if err := decode(body, &j); err != nil {
		return flow.Intent{}, err
	}
	return j.intent()
}

// decode reads one JSON value strictly: no unknown field, nothing behind it, and
// the same bytes when it is written again.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: not readable", ErrRecord)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows it", ErrRecord)
	}
	back, err := json.Marshal(v)
	if err != nil || !bytes.Equal(back, body) {
		return fmt.Errorf("%w: not in the form that is written", ErrRecord)
	}
	return nil
}
