package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Two banks with nothing of a real one: pos keeps a reversal on its virtual
// terminal, cups sends it over any link and does not take 25 for an end.
const (
	pos  si.Bank = 1
	cups si.Bank = 4
)

func testBank(n si.Bank) *profile.Profile {
	p := &profile.Profile{
		Code: fmt.Sprintf("bank%d", n), Number: n, Dialect: profile.POS, CrossDaySend: true, NoOriginalFinal: true,
		CardRefusal: profile.CardRefusal{AACReverses: true}, CutoverAt: 22 * time.Hour,
		Timers: profile.Timers{
			Reply: 30 * time.Second, ReversalReply: 20 * time.Second, RetryFirst: 5 * time.Second, RetryMost: 15 * time.Minute,
			SendDeadline: time.Second, CardOutcome: 120 * time.Second,
		},
		Limits:  profile.Limits{InFlight: 8, AlarmAfter: 6, MaxAmount: 1_000_000_00},
		Classes: map[string]profile.Class{},
		DE55:    map[string][]uint32{"reversal": {0x95, 0x9F1E, 0x9F10, 0x9F36}},
	}
	if n == cups {
		p.Dialect, p.NoOriginalFinal = profile.CUPS, false
	}
	for class, codes := range map[profile.Class][]string{
		profile.ClassApproved: {"00", "11", "16", "A2"}, profile.ClassRetry: {"09", "55", "90", "91", "96"},
		profile.ClassRefused: {"05", "12", "25", "38", "51", "75", "94"}, profile.ClassCapture: {"41", "43"},
		profile.ClassSystem: {"06"}, profile.ClassSignOn: {"97", "99", "A0", "A7"}, profile.ClassUnknown: {"68", "98"},
	} {
		for _, c := range codes {
			p.Classes[c] = class
		}
	}
	return p
}

// book is a ledger in a map: the states and refusals of the real one that
// matter here.
type book struct {
	pays  map[si.PaymentID]*ledgerapi.Payment
	memos map[si.PaymentID]Memo
	order []si.PaymentID
	held  map[si.DueID]si.PaymentID
	stan  uint32
	posts int
}

func newBook() *book {
	return &book{pays: map[si.PaymentID]*ledgerapi.Payment{}, memos: map[si.PaymentID]Memo{}, held: map[si.DueID]si.PaymentID{}}
}

func (b *book) view(id si.PaymentID) ledgerapi.Payment {
	if p := b.pays[id]; p != nil {
		return *p
	}
	return ledgerapi.Payment{}
}

func (b *book) apply(now time.Time, s Submit) ledgerapi.Result {
	p := b.pays[s.ID]
	state := ledgerapi.PayNone
	if p != nil {
		state = p.State
	}
	bad := ledgerapi.Result{Code: ledgerapi.BadTransition, State: state}
	switch c := s.Command.(type) {
	case ledgerapi.Reserve:
		return b.reserve(now, c, s)
	case ledgerapi.Annotate:
		if c.Stage == ledgerapi.StageAdvice || c.Stage == ledgerapi.StageAdvised {
			if state != ledgerapi.PayPosted {
				return bad
			}
			p.Advice = c.Stage == ledgerapi.StageAdvice
			b.memos[s.ID] = *s.Memo
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
		switch state {
		case ledgerapi.PayReserved, ledgerapi.PayReversing:
			p.State, p.Reason = ledgerapi.PayReversing, c.Reason
			b.memos[s.ID] = *s.Memo
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		case ledgerapi.PayNone:
			return ledgerapi.Result{Code: ledgerapi.NotFound}
		}
	case ledgerapi.Post:
		switch state {
		case ledgerapi.PayReserved:
			if !c.Evidence.MACOK {
				return ledgerapi.Result{Code: ledgerapi.EvidenceWeak, State: state}
			}
			p.State, p.Resp, p.EndedAt = ledgerapi.PayPosted, c.Evidence.Resp, now.UnixMilli()
			b.posts++
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		case ledgerapi.PayReversing:
			return ledgerapi.Result{Code: ledgerapi.Late, State: state}
		case ledgerapi.PayPosted:
			return ledgerapi.Result{Code: ledgerapi.Exists, State: state}
		}
	case ledgerapi.Void:
		switch state {
		case ledgerapi.PayNone:
			b.pays[s.ID] = &ledgerapi.Payment{ID: s.ID, State: ledgerapi.PayTombstone}
			return ledgerapi.Result{Code: ledgerapi.OK, State: ledgerapi.PayTombstone}
		case ledgerapi.PayReserved, ledgerapi.PayReversing:
			p.State, p.Proof, p.Resp = ledgerapi.PayVoided, c.Proof, c.Resp
			for _, d := range p.Dues {
				delete(b.held, d.Ref.ID)
			}
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		case ledgerapi.PayVoided, ledgerapi.PayTombstone:
			return ledgerapi.Result{Code: ledgerapi.Exists, State: state}
		}
	case ledgerapi.Unpost:
		switch state {
		case ledgerapi.PayPosted:
			p.State = ledgerapi.PayReversing
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		case ledgerapi.PayReversing:
			return bad
		}
	}
	return bad
}

func (b *book) reserve(now time.Time, c ledgerapi.Reserve, s Submit) ledgerapi.Result {
	if p := b.pays[c.ID]; p != nil {
		if p.State == ledgerapi.PayTombstone {
			return ledgerapi.Result{Code: ledgerapi.Tombstoned, State: p.State}
		}
		return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, State: p.State, STAN: p.STAN, RRN: p.RRN, DE7: p.DE7}
	}
	for _, d := range c.Dues {
		if by, ok := b.held[d.ID]; ok {
			return ledgerapi.Result{Code: ledgerapi.DueHeld, HeldBy: by, Due: d.ID}
		}
	}
	b.stan++
	p := &ledgerapi.Payment{
		ID: c.ID, State: ledgerapi.PayReserved, Channel: c.Channel, Terminal: c.Terminal, Acq: c.Acq, Batch: c.Batch, Bank: c.Bank,
		STAN: b.stan, Total: c.Total, OurDate: c.OurDate, AtMillis: now.UnixMilli(), Memo: []byte("sealed"),
	}
	copy(p.RRN[:], fmt.Sprintf("6326%08d", b.stan))
	copy(p.DE7[:], now.In(si.China).Format("0102150405"))
	for _, d := range c.Dues {
		p.Dues = append(p.Dues, ledgerapi.Due{Ref: d})
		b.held[d.ID] = c.ID
	}
	b.pays[c.ID], b.memos[c.ID] = p, *s.Memo
	b.order = append(b.order, c.ID)
	return ledgerapi.Result{Code: ledgerapi.OK, State: p.State, STAN: p.STAN, RRN: p.RRN, DE7: p.DE7}
}

// rig drives one engine by hand, with the book behind it.
type rig struct {
	t     *testing.T
	e     *Engine
	book  *book
	now   time.Time
	out   []Effect // not yet taken
	notes []Note
	tells map[si.PaymentID][]Answer
	banks []*profile.Profile
	seed  uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, book: newBook(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, si.China),
		tells: map[si.PaymentID][]Answer{}, banks: []*profile.Profile{testBank(pos), testBank(cups)},
	}
	r.restart()
	return r
}

// restart begins a new life: the engine's memory is gone.
func (r *rig) restart() {
	r.t.Helper()
	e, err := New(Config{Banks: r.banks, Rand: func() uint64 { r.seed = r.seed*6364136223846793005 + 1442695040888963407; return r.seed >> 11 }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.e, r.out, r.tells = e, nil, map[si.PaymentID][]Answer{}
}

func (r *rig) linkUp(bank si.Bank, n uint8) {
	up := LinkUp{Link: LinkID{bank, n}, Batch: 7, Cap: 8}
	copy(up.Acq[:], fmt.Sprintf("T%d%06d", bank, n))
	if bank == cups {
		up.Batch = 0
		copy(up.Acq[:], "CUPS0001")
	}
	r.step(up)
}

// step gives one event and keeps notes and answers apart from the work.
func (r *rig) step(ev Event) {
	r.t.Helper()
	for _, ef := range r.e.Step(r.now, ev, nil) {
		switch ef := ef.(type) {
		case Note:
			r.notes = append(r.notes, ef)
		case Tell:
			r.tells[ef.ID] = append(r.tells[ef.ID], ef.Answer)
		default:
			r.out = append(r.out, ef)
		}
	}
}

func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	r.now = r.now.Add(d)
	r.step(Tick{})
}

// take removes the first effect of a type; it must be there.
func take[T Effect](r *rig) T {
	r.t.Helper()
	for i, ef := range r.out {
		if x, ok := ef.(T); ok {
			r.out = append(r.out[:i], r.out[i+1:]...)
			return x
		}
	}
	var none T
	r.t.Fatalf("no %T among the effects %T", none, r.out)
	return none
}

func count[T Effect](r *rig) (n int) {
	for _, ef := range r.out {
		if _, ok := ef.(T); ok {
			n++
		}
	}
	return n
}

// commit carries the waiting ledger command out.
func (r *rig) commit() ledgerapi.Result {
	r.t.Helper()
	s := take[Submit](r)
	res := r.book.apply(r.now, s)
	r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: res})
	return res
}

// fail answers the waiting ledger command with a fault; the command is applied
// all the same if applied is set.
func (r *rig) fail(f Fault, applied bool) {
	r.t.Helper()
	s := take[Submit](r)
	if applied {
		r.book.apply(r.now, s)
	}
	r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Fault: f})
}

func (r *rig) translate() {
	r.t.Helper()
	x := take[Translate](r)
	b, err := si.NewPINBlock([]byte("bankward"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.step(Translated{ID: x.ID, Op: x.Op, Block: b, Gen: 3, OK: true})
}

func reply(code string) Reply {
	r := Reply{MAC: MACGood, KeyGen: 3, Issuer: IssuerData{ARC: code, Auth: []byte{1, 2}}}
	copy(r.Resp[:], code)
	copy(r.Auth[:], "A12345")
	return r
}

// told is the answer to an inquiry about payment 1.
func told(code string) Reply {
	r := reply(code)
	r.Amount = 38000
	return r
}

// asks makes a bank take inquiries; proof says whether "declined" and "not
// known" end them.
func (r *rig) asks(bank si.Bank, proof bool) {
	for _, p := range r.banks {
		if p.Number == bank {
			p.InquireFirst, p.InquiryIsProof, p.Timers.Inquiry = true, proof, 10*time.Second
		}
	}
}

// pid makes the nth payment id.
func pid(n int) si.PaymentID { return si.PaymentID{15: byte(n), 14: byte(n >> 8), 5: 1} }

func testPAN(t testing.TB, n int) si.PAN {
	t.Helper()
	body := fmt.Sprintf("62990001%07d", n)
	d, err := si.LuhnDigit(body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := si.ParsePAN(body + string(d))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func intent(t testing.TB, n int, bank si.Bank) Intent {
	t.Helper()
	block, err := si.NewPINBlock([]byte("sixteen byte pin"))
	if err != nil {
		t.Fatal(err)
	}
	return Intent{
		ID: pid(n), Terminal: 9, Bank: bank, Total: 38000,
		Dues: []ledgerapi.DueRef{{ID: si.DueID(n), Version: 1, Amount: 38000}},
		Card: CardData{
			PAN: testPAN(t, n), PSN: "01", Expiry: "3012", PINBlock: block, PINKey: "terminal-9/tpk", PINFormat: si.PINFormat4AES,
			DE55: []byte{0x9F, 0x26, 2, 1, 2, 0x95, 5, 0, 0, 0, 0, 0, 0x9F, 0x36, 2, 0, 7, 0x9F, 0x10, 3, 7, 8, 9},
		},
	}
}

// sent brings payment n to Sent.
func (r *rig) sent(n int, bank si.Bank) SendDebit {
	r.t.Helper()
	r.step(Ask{Intent: intent(r.t, n, bank)})
	r.commit()
	r.translate()
	return take[SendDebit](r)
}

func (r *rig) state(n int) State {
	if p := r.e.pays[pid(n)]; p != nil {
		return p.state
	}
	return Gone
}

func (r *rig) wantState(n int, want State) {
	r.t.Helper()
	if got := r.state(n); got != want {
		r.t.Fatalf("payment %d: got state %v, want %v; notes %+v", n, got, want, r.notes)
	}
}

func (r *rig) wantLedger(n int, want ledgerapi.PayState) {
	r.t.Helper()
	if got := r.book.view(pid(n)).State; got != want {
		r.t.Fatalf("payment %d: ledger says %v, want %v", n, got, want)
	}
}

// told is the last answer that the terminal of payment n was given.
func (r *rig) told(n int) Answer {
	r.t.Helper()
	list := r.tells[pid(n)]
	if len(list) == 0 {
		r.t.Fatalf("payment %d: nobody was told anything", n)
	}
	return list[len(list)-1]
}

func (r *rig) wantTold(n int, want Ending) Answer {
	r.t.Helper()
	a := r.told(n)
	if a.Ending != want {
		r.t.Fatalf("payment %d: told %+v, want ending %d", n, a, want)
	}
	return a
}

func (r *rig) noted(kind NoteKind) (n int) {
	for _, x := range r.notes {
		if x.Kind == kind {
			n++
		}
	}
	return n
}
