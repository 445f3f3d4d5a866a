package engine

import (
	"slices"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Bounds of script notices.
const (
	// MaxScripts is how many notices are held at once. Issuers send scripts to few
	// cards; this is more than a city's in a day.
	MaxScripts = 10_000
	// MaxScriptTries is how often a notice is sent in one life of the hub before a
	// person is called instead: half a day at the longest wait between tries.
	MaxScriptTries = 60
)

// scriptSeq is above every number that a payment gives its acts, so that an
// answer about a payment is never taken for one about its notice.
const scriptSeq = 1 << 31

// tagScriptResults are the results of issuer scripts in DE 55.
const tagScriptResults = 0xDF31

// scriptState is where a script notice is.
type scriptState uint8

// The states of a notice, in their order. From scriptNoted on it stands in the
// ledger, and a new life of the hub begins again there.
const (
	scriptOpening scriptState = iota + 1 // the memo is fetched
	scriptNoting                         // Annotate(ADVICE) asked
	scriptNoted                          // waits for its time or a link
	scriptSent                           // 0620 handed to the link
	scriptClosing                        // Annotate(ADVISED) asked
)

// script is one notice of what issuer scripts did to a card. It moves no money.
type script struct {
	id      si.PaymentID
	bank    *bank
	state   scriptState
	link    uint8
	holds   bool
	seq     uint32
	stan    uint32
	rrn     [12]byte
	de7     [10]byte
	date    si.BusinessDate
	total   si.Fen
	resp    [2]byte
	memo    Memo
	results []byte // until the memo is there
	sealed  []byte
	tries   int // of what the state asks for
	sends   int
	timer   timer
}

// scriptOf gives the notice's part of the card's last word, nil if the bank wants
// none or no script ran.
func (b *bank) scriptOf(de55 []byte) []byte {
	if !b.prof.Rules[profile.ScriptNotify].Request.Used() || len(bankmsg.PickTags(nil, de55, []uint32{tagScriptResults})) == 0 {
		return nil
	}
	return bankmsg.PickTags(nil, de55, b.prof.DE55["script"])
}

// tellScript begins the notice about a payment that stays posted, from the memo
// of a live payment or from the ledger's view of another.
func (e *Engine) tellScript(b *bank, results []byte, p *payment, v *ledgerapi.Payment) {
	s := &script{bank: b, seq: scriptSeq, results: results}
	if p != nil {
		s.id, s.stan, s.rrn, s.de7, s.date, s.total, s.resp, s.sealed = p.id, p.stan, p.rrn, p.de7, p.date, p.total, p.resp, p.sealed
	} else {
		s.of(v)
	}
	if e.scripts[s.id] != nil {
		return // a repeat
	}
	if len(e.scripts) >= MaxScripts || s.stan == 0 {
		e.noteScript(NoteScriptLost, s, Note{})
		return
	}
	e.scripts[s.id] = s
	s.timer.script = s
	if p == nil || p.blind {
		s.state = scriptOpening
		e.openScript(s)
		return
	}
	s.memo = p.memo
	s.memo.EMV = slices.Clone(p.memo.EMV)
	e.holdScript(s)
}

func (s *script) of(v *ledgerapi.Payment) {
	s.id, s.stan, s.rrn, s.de7, s.date, s.total, s.resp = v.ID, v.STAN, v.RRN, v.DE7, v.OurDate, v.Total, v.Resp
	s.sealed = v.Memo
}

// resumeScript takes up a notice that an earlier life left.
func (e *Engine) resumeScript(v *ledgerapi.Payment) {
	b := e.banks[v.Bank]
	if b == nil || e.scripts[v.ID] != nil || !v.Advice || len(e.scripts) >= MaxScripts {
		e.stats.Stale++
		return
	}
	s := &script{bank: b, seq: scriptSeq, state: scriptOpening}
	s.of(v)
	s.timer.script = s
	e.scripts[s.id] = s
	e.openScript(s)
}

func (e *Engine) openScript(s *script) {
	e.out = append(e.out, OpenMemo{ID: s.id, Bank: s.bank.prof.Number, Data: s.sealed})
}

// scriptOpened goes on with the memo.
func (e *Engine) scriptOpened(s *script, ev *MemoOpened) {
	if !ev.OK {
		e.scriptLater(s)
		return
	}
	s.memo, s.sealed, s.tries = ev.Memo, nil, 0
	if s.results != nil {
		e.holdScript(s)
		return
	}
	s.state = scriptNoted // it came from the ledger
	e.sendScript(s)
}

// holdScript makes the notice durable before any byte of it leaves.
func (e *Engine) holdScript(s *script) {
	s.state = scriptNoting
	if s.results != nil {
		s.memo.Script, s.results = s.results, nil
	}
	e.annotateScript(s, ledgerapi.StageAdvice)
}

func (e *Engine) annotateScript(s *script, stage ledgerapi.Stage) {
	s.seq++
	m := s.memo
	e.out = append(e.out, Submit{ID: s.id, Seq: s.seq, Bank: s.bank.prof.Number, Date: s.date, Memo: &m,
		Command: ledgerapi.Annotate{ID: s.id, Stage: stage, Reason: m.Reason}})
}

// scriptDone judges the ledger's answer. A refusal means that the payment is not
// posted any more or that its date is sealed: the notice has nothing to be about.
func (e *Engine) scriptDone(s *script, ev *LedgerDone) {
	if ev.Seq != s.seq || s.state != scriptNoting && s.state != scriptClosing {
		e.stats.Stale++
		return
	}
	switch {
	case ev.Fault != FaultNone:
		e.scriptLater(s)
	case s.state == scriptClosing:
		e.dropScript(s)
	case ev.Result.Code != ledgerapi.OK:
		e.noteScript(NoteScriptLost, s, Note{Code: ev.Result.Code})
		e.dropScript(s)
	default:
		s.state, s.tries = scriptNoted, 0
		e.out = append(e.out, ScriptHeld{s.id})
		e.sendScript(s)
	}
}

// sendScript puts the notice on any link that has room; payments go first.
func (e *Engine) sendScript(s *script) {
	for i := range s.bank.links {
		l := &s.bank.links[i]
		if !l.up || l.live >= l.cap {
			continue
		}
		s.state, s.link, s.holds = scriptSent, uint8(i), true
		l.live++
		s.seq++
		s.sends++
		e.stats.Scripts++
		e.timers.arm(&s.timer, e.now.Add(s.bank.prof.Timers.ReversalReply))
		e.out = append(e.out, SendScript{
			ID: s.id, Seq: s.seq, Link: LinkID{s.bank.prof.Number, s.link}, STAN: s.stan, RRN: s.rrn, DE7: s.de7, Date: s.date,
			Amount: s.total, Resp: s.resp, Memo: s.memo, Repeat: s.sends > 1,
		})
		return
	}
	e.timers.arm(&s.timer, e.now.Add(e.delay(s.bank.prof, 1)))
}

// scriptUnanswered waits before the next try, or gives up after the last.
func (e *Engine) scriptUnanswered(s *script) {
	e.releaseScript(s)
	if s.sends >= MaxScriptTries {
		e.noteScript(NoteScriptLost, s, Note{})
		e.closeScript(s)
		return
	}
	s.state = scriptNoted
	e.timers.arm(&s.timer, e.now.Add(e.delay(s.bank.prof, s.sends)))
}

// scriptReplied judges a 0630. One that says anything definite ends the notice: a
// bank that refuses it will refuse it again.
func (e *Engine) scriptReplied(s *script, r *Reply) {
	if s == nil || s.state != scriptSent {
		e.stats.Stale++
		return
	}
	if r.MAC != MACGood || r.Mismatch {
		e.scriptUnanswered(s)
		return
	}
	switch s.bank.prof.Classes[string(r.Resp[:])] {
	case profile.ClassApproved:
	case profile.ClassRefused, profile.ClassCapture:
		if r.Resp != ([2]byte{'9', '4'}) { // 94: a repeat of what it has
			e.noteScript(NoteScriptLost, s, Note{Resp: r.Resp})
		}
	case profile.ClassSignOn:
		e.out = append(e.out, SignOnAgain{LinkID{s.bank.prof.Number, s.link}})
		e.scriptUnanswered(s)
		return
	case profile.ClassRetry, profile.ClassSystem, profile.ClassNone, profile.ClassUnknown:
		e.scriptUnanswered(s)
		return
	}
	e.stats.ScriptsTold++
	e.releaseScript(s)
	e.closeScript(s)
}

// closeScript notes in the ledger that the notice waits no more, and forgets what
// the card said.
func (e *Engine) closeScript(s *script) {
	s.state, s.tries, s.memo.Script = scriptClosing, 0, nil
	e.timers.disarm(&s.timer)
	e.annotateScript(s, ledgerapi.StageAdvised)
}

// scriptLater waits before the same again.
func (e *Engine) scriptLater(s *script) {
	s.tries++
	e.timers.arm(&s.timer, e.now.Add(e.delay(s.bank.prof, s.tries)))
}

// scriptDue is the notice's time.
func (e *Engine) scriptDue(s *script) {
	switch s.state {
	case scriptOpening:
		e.openScript(s)
	case scriptNoting:
		e.annotateScript(s, ledgerapi.StageAdvice)
	case scriptNoted:
		e.sendScript(s)
	case scriptSent:
		e.scriptUnanswered(s)
	case scriptClosing:
		e.annotateScript(s, ledgerapi.StageAdvised)
	}
}

func (e *Engine) releaseScript(s *script) {
	e.timers.disarm(&s.timer)
	if s.holds {
		s.holds = false
		l := &s.bank.links[s.link]
		l.live--
		e.pump(s.bank, s.bank.lineKey(l.acq))
	}
}

func (e *Engine) dropScript(s *script) {
	e.releaseScript(s)
	delete(e.scripts, s.id)
	s.memo = Memo{}
	e.out = append(e.out, ScriptHeld{s.id})
}

func (e *Engine) noteScript(kind NoteKind, s *script, more Note) {
	more.Kind, more.ID, more.Bank, more.STAN, more.RRN, more.Tries = kind, s.id, s.bank.prof.Number, s.stan, s.rrn, s.sends
	e.out = append(e.out, more)
}

// ScriptPending tells whether the notice about a payment is not durable yet:
// ScriptHeld follows.
func (e *Engine) ScriptPending(id si.PaymentID) bool {
	s := e.scripts[id]
	return s != nil && (s.state == scriptNoting || s.state == scriptOpening && s.results != nil)
}

// Scripts is how many notices wait for their bank.
func (e *Engine) Scripts() int { return len(e.scripts) }
