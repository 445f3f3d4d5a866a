package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// fileKey names a version of a bank file.
type fileKey struct {
	bank    si.Bank
	kind    byte
	date    si.BusinessDate
	seq     uint16
	version uint8
}

func (k fileKey) hash() uint64 {
	return mix(uint64(k.bank)<<56 | uint64(k.kind)<<48 | uint64(k.date)<<32 | uint64(k.seq)<<16 | uint64(k.version))
}

func fileRow(dst []byte, k fileKey) []byte {
	return append(be16(be16(append(dst, byte(k.bank), k.kind), uint16(k.date)), k.seq), k.version)
}

// file is a bank file that was received or sent.
type file struct {
	key     fileKey
	no      uint64
	name    string
	size    uint64
	hash    [32]byte
	lines   uint32
	sum     si.Fen
	verdict ledgerapi.FileVerdict
	reason  uint8
	offset  uint64
	line    uint32
	at      int64
}

func fileFields(f *wire.Form, x *file) {
	wire.U8(f, &x.key.bank)
	wire.U8(f, &x.key.kind)
	wire.U16(f, &x.key.date)
	wire.U16(f, &x.key.seq)
	wire.U8(f, &x.key.version)
	wire.U64(f, &x.no)
	f.Text(&x.name, ledgerapi.MaxFileName)
	wire.U64(f, &x.size)
	f.Fixed(x.hash[:])
	wire.U32(f, &x.lines)
	wire.U64(f, &x.sum)
	wire.U8(f, &x.verdict)
	wire.U8(f, &x.reason)
	wire.U64(f, &x.offset)
	wire.U32(f, &x.line)
	wire.U64(f, &x.at)
}

// fileKinds are the kinds of bank files: totals, details, account, mandates,
// batch debit, refunds, terminal journals.
const fileKinds = "TDAMBRJ"

// lastQuarantine is the greatest quarantine code: Q11.
const lastQuarantine = 11

func (m *Machine) applyFileRegister(c *ledgerapi.FileRegister, out *ledgerapi.Result) {
	known := false
	for i := range len(fileKinds) {
		known = known || fileKinds[i] == c.Kind
	}
	bad := c.Verdict == ledgerapi.FileQuarantined
	if !known || c.Bank == 0 || c.Date == 0 || c.Seq == 0 || c.Version == 0 || c.Name == "" || c.SHA256 == [32]byte{} ||
		c.Verdict < ledgerapi.FileAccepted || c.Verdict > ledgerapi.FileQuarantined || bad != (c.Reason != 0) || c.Reason > lastQuarantine {
		out.Code = ledgerapi.Malformed
		return
	}
	key := fileKey{c.Bank, c.Kind, c.Date, c.Seq, 0}
	latest := uint8(0)
	for v := 1; v <= 255; v++ { // the same bytes under any version are the same file
		key.version = uint8(v)
		x := m.files.get(key)
		if x == nil {
			continue
		}
		if x.hash == c.SHA256 {
			*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, No: x.no, Version: uint32(v)}
			return
		}
		latest = uint8(v)
	}
	if c.Version <= latest {
		out.Code, out.Version = ledgerapi.BadTransition, uint32(latest)
		return
	}
	key.version = c.Version
	no := uint64(m.files.used) + 1
	m.files.add(file{key: key, no: no, name: c.Name, size: c.Size, hash: c.SHA256, lines: c.Lines, sum: c.Sum, verdict: c.Verdict,
		reason: c.Reason, offset: c.Offset, line: c.Line, at: m.at})
	out.Code, out.No, out.Version = ledgerapi.OK, no, uint32(c.Version)
}

// anchor is the last head of a node's audit log that came under a day seal.
type anchor struct {
	node string
	seq  uint64
	head [32]byte
	at   int64
}

func anchorFields(f *wire.Form, a *anchor) {
	f.Text(&a.node, ledgerapi.MaxName)
	wire.U64(f, &a.seq)
	f.Fixed(a.head[:])
	wire.U64(f, &a.at)
}

func (m *Machine) applyAuditAnchor(c *ledgerapi.AuditAnchor, out *ledgerapi.Result) {
	x := m.anchors.get(c.Node)
	switch {
	case c.Node == "" || c.Seq == 0:
		out.Code = ledgerapi.Malformed
		return
	case x == nil:
		m.anchors.add(anchor{c.Node, c.Seq, c.Head, m.at})
	case x.seq == c.Seq && x.head == c.Head:
		out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
		return
	case c.Seq <= x.seq:
		out.Code, out.No = ledgerapi.BadTransition, x.seq
		return
	default:
		x = m.anchors.change(c.Node)
		x.seq, x.head, x.at = c.Seq, c.Head, m.at
	}
	out.Code = ledgerapi.OK
}

// user is a user of console and tools.
type user struct {
	actor      si.Actor
	login      string
	roles      uint32
	bank       si.Bank
	office     string
	state      ledgerapi.UserState
	credential []byte
	version    uint32
	maker      si.Actor
	checker    si.Actor
	at         int64
}

func userFields(f *wire.Form, u *user) {
	wire.U32(f, &u.actor)
	f.Text(&u.login, ledgerapi.MaxLogin)
	wire.U32(f, &u.roles)
	wire.U8(f, &u.bank)
	f.Text(&u.office, ledgerapi.MaxOffice)
	wire.U8(f, &u.state)
	f.Blob(&u.credential, ledgerapi.MaxCredential)
	if f.Reading() { // the bytes are the row's
		u.credential = append([]byte(nil), u.credential...)
	}
	wire.U32(f, &u.version)
	wire.U32(f, &u.maker)
	wire.U32(f, &u.checker)
	wire.U64(f, &u.at)
}

// applyPutUser writes a user. A login belongs to one user, and a user who has
// ended does not come back: the number stands in records for good.
func (m *Machine) applyPutUser(a *act, c *ledgerapi.PutUser, out *ledgerapi.Result) {
	if c.User == 0 || c.Login == "" || c.State < ledgerapi.UserActive || c.State > ledgerapi.UserEnded {
		out.Code = ledgerapi.Malformed
		return
	}
	u := m.users.get(c.User)
	if owner := m.loginOf[c.Login]; (owner != 0 && owner != c.User) || (u != nil && u.state == ledgerapi.UserEnded) {
		out.Code = ledgerapi.BadTransition
		return
	}
	if a.second(out); out.Code != 0 {
		return
	}
	is := user{c.User, c.Login, c.Roles, c.Bank, c.Office, c.State, append([]byte(nil), c.Credential...), 1, a.maker, a.checker, m.at}
	if u == nil {
		m.users.add(is)
	} else {
		u = m.users.change(c.User)
		is.version = u.version + 1
		delete(m.loginOf, u.login)
		m.loginOf[is.login] = is.actor
		*u = is
	}
	out.Code, out.Version = ledgerapi.OK, is.version
}
