package hsm

import (
	"encoding/binary"
	"fmt"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// The bodies of requests and answers, each written by an append… and read by a
// read… of the same order.

const purpose si.Purpose = "carry to the HSM process"

// MAC: count u16; per job key u32, algorithm u8, verify u8, length u16, code 8,
// data. Answer, also with an error status: per job done u8, code 8.

func appendMACJobs(dst []byte, jobs []hsmapi.MACJob) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(jobs)))
	for i := range jobs {
		j := &jobs[i]
		dst = binary.BigEndian.AppendUint32(dst, uint32(j.Key))
		dst = append(dst, byte(j.Alg))
		dst = appendFlag(dst, j.Verify)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(j.Data)))
		dst = append(dst, j.MAC[:]...)
		dst = append(dst, j.Data...)
	}
	return dst
}

// readMACJobs reuses jobs; the data of the jobs are the body's.
func readMACJobs(body []byte, jobs []hsmapi.MACJob) ([]hsmapi.MACJob, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxMACJobs {
		return jobs[:0], fmt.Errorf("%w: %d jobs, at most %d", hsmapi.ErrForm, count, hsmapi.MaxMACJobs)
	}
	jobs = jobs[:0]
	for range count {
		var j hsmapi.MACJob
		j.Key, j.Alg, j.Verify = hsmapi.KeyRef(r.u32()), hsmapi.MACAlg(r.u8()), r.flag()
		n := int(r.u16())
		r.fill(j.MAC[:])
		if n > MaxMACData {
			return jobs[:0], fmt.Errorf("%w: %d bytes under a code, at most %d", hsmapi.ErrForm, n, MaxMACData)
		}
		j.Data = r.take(n)
		jobs = append(jobs, j)
	}
	return jobs, r.done()
}

func appendMACResults(dst []byte, jobs []hsmapi.MACJob) []byte {
	for i := range jobs {
		dst = appendFlag(dst, jobs[i].OK)
		dst = append(dst, jobs[i].MAC[:]...)
	}
	return dst
}

func readMACResults(body []byte, jobs []hsmapi.MACJob) error {
	r := reader{b: body}
	for i := range jobs {
		jobs[i].OK = r.flag()
		r.fill(jobs[i].MAC[:])
	}
	if err := r.done(); err != nil {
		for i := range jobs {
			jobs[i].OK = false
		}
		return err
	}
	return nil
}

func appendImportDE62(dst []byte, r hsmapi.ImportDE62) []byte {
	dst = appendText(dst, r.TMK)
	dst = appendBytes(dst, r.Block)
	dst = appendFlag(dst, r.MAKDouble)
	return append(dst, byte(r.MACAlg), byte(r.PINFormat))
}

func readImportDE62(body []byte) (v hsmapi.ImportDE62, err error) {
	r := reader{b: body}
	v.TMK, v.Block, v.MAKDouble = r.text(), r.bytes(), r.flag()
	v.MACAlg, v.PINFormat = hsmapi.MACAlg(r.u8()), si.PINFormat(r.u8())
	return v, r.done()
}

func appendWorkingKeys(dst []byte, w hsmapi.WorkingKeys) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.PIN))
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.MAC))
	return append(append(dst, w.PINKCV[:]...), w.MACKCV[:]...)
}

func readWorkingKeys(body []byte) (w hsmapi.WorkingKeys, err error) {
	r := reader{b: body}
	w.PIN, w.MAC = hsmapi.KeyRef(r.u32()), hsmapi.KeyRef(r.u32())
	r.fill(w.PINKCV[:])
	r.fill(w.MACKCV[:])
	return w, r.done()
}

func appendImportTR31(dst []byte, r hsmapi.ImportTR31) []byte {
	dst = appendText(dst, r.KBPK)
	dst = appendText(dst, r.Block)
	dst = appendFlag(dst, r.ForPIN)
	return append(dst, byte(r.MACAlg), byte(r.PINFormat), r.SM4Code)
}

func readImportTR31(body []byte) (v hsmapi.ImportTR31, err error) {
	r := reader{b: body}
	v.KBPK, v.Block, v.ForPIN = r.text(), r.text(), r.flag()
	v.MACAlg, v.PINFormat, v.SM4Code = hsmapi.MACAlg(r.u8()), si.PINFormat(r.u8()), r.u8()
	return v, r.done()
}

func appendImportedKey(dst []byte, k hsmapi.ImportedKey) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(k.Key)), k.KCV[:]...)
}

func readImportedKey(body []byte) (k hsmapi.ImportedKey, err error) {
	r := reader{b: body}
	k.Key = hsmapi.KeyRef(r.u32())
	r.fill(k.KCV[:])
	return k, r.done()
}

func appendTranslatePIN(dst []byte, v *hsmapi.TranslatePIN) []byte {
	dst = appendText(dst, v.From)
	dst = append(dst, byte(v.FromFormat))
	dst = binary.BigEndian.AppendUint32(dst, uint32(v.To))
	dst = append(dst, byte(v.ToFormat))
	var pan [19]byte
	dst = appendBytes(dst, v.PAN.AppendDigits(pan[:0], purpose))
	return appendBytes(dst, v.Block.Reveal(purpose))
}

func readTranslatePIN(body []byte) (v hsmapi.TranslatePIN, err error) {
	r := reader{b: body}
	v.From, v.FromFormat = r.text(), si.PINFormat(r.u8())
	v.To, v.ToFormat = hsmapi.KeyRef(r.u32()), si.PINFormat(r.u8())
	pan, block := r.text(), r.bytes()
	if err := r.done(); err != nil {
		return v, err
	}
	if v.PAN, err = si.ParsePAN(pan); err != nil {
		return v, fmt.Errorf("%w: card number", hsmapi.ErrForm)
	}
	if v.Block, err = si.NewPINBlock(block); err != nil {
		return v, fmt.Errorf("%w: PIN block", hsmapi.ErrForm)
	}
	return v, nil
}

func appendOpenCard(dst []byte, v hsmapi.OpenCard) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(v.Terminal))
	dst = append(dst, v.CardSession[:]...)
	dst = binary.BigEndian.AppendUint64(dst, v.Counter)
	return appendBytes(dst, v.Sealed)
}

func readOpenCard(body []byte) (v hsmapi.OpenCard, err error) {
	r := reader{b: body}
	v.Terminal = si.Terminal(r.u32())
	r.fill(v.CardSession[:])
	v.Counter = r.u64()
	v.Sealed = r.bytes()
	return v, r.done()
}

func appendCardOpened(dst []byte, c *hsmapi.CardOpened) []byte {
	for _, h := range []si.Hash{c.IDHash, c.CardHash, c.NoHash, c.PANHash} {
		dst = append(dst, h[:]...)
	}
	for _, text := range []string{c.PAN.Reveal(purpose), c.PSN, c.Track2.Reveal(purpose), c.Expiry, c.Name.Reveal(purpose)} {
		dst = appendText(dst, text)
	}
	return dst
}

func readCardOpened(body []byte) (c hsmapi.CardOpened, err error) {
	r := reader{b: body}
	for _, h := range []*si.Hash{&c.IDHash, &c.CardHash, &c.NoHash, &c.PANHash} {
		r.fill(h[:])
	}
	pan, psn, track, expiry, name := r.text(), r.text(), r.text(), r.text(), r.text()
	if err := r.done(); err != nil {
		return c, err
	}
	c.PSN, c.Expiry, c.Name = psn, expiry, si.NewName(name)
	if c.PAN, err = si.ParsePAN(pan); err != nil {
		return c, fmt.Errorf("%w: card number", hsmapi.ErrForm)
	}
	if c.Track2, err = si.ParseTrack2(track); err != nil {
		return c, fmt.Errorf("%w: track 2", hsmapi.ErrForm)
	}
	return c, nil
}

func appendHash(dst []byte, kind hsmapi.HashKind, value string) []byte {
	return appendText(append(dst, byte(kind)), value)
}

func readHash(body []byte) (kind hsmapi.HashKind, value string, err error) {
	r := reader{b: body}
	kind, value = hsmapi.HashKind(r.u8()), r.text()
	return kind, value, r.done()
}

func appendIDs(dst []byte, ids []si.IDNumber) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(ids)))
	for i := range ids {
		dst = appendText(dst, ids[i].Reveal(purpose))
	}
	return dst
}

func readIDs(body []byte) ([]si.IDNumber, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d ID numbers, at most %d", hsmapi.ErrForm, count, hsmapi.MaxPersons)
	}
	ids := make([]si.IDNumber, count)
	for i := range ids {
		id := r.text()
		if r.bad {
			break
		}
		var err error
		if ids[i], err = si.ParseIDNumber(id); err != nil {
			return nil, fmt.Errorf("%w: ID number %d", hsmapi.ErrForm, i)
		}
	}
	return ids, r.done()
}

func appendHashes(dst []byte, hashes []si.Hash) []byte {
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

func readHashes(body []byte, count int) ([]si.Hash, error) {
	r := reader{b: body}
	hashes := make([]si.Hash, count)
	for i := range hashes {
		r.fill(hashes[i][:])
	}
	return hashes, r.done()
}

func appendCards(dst []byte, cards []hsmapi.CardRecord) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(cards)))
	for i := range cards {
		c := &cards[i]
		for _, text := range []string{c.IDNumber.Reveal(purpose), c.CardID, c.CardNo, c.PAN.Reveal(purpose)} {
			dst = appendText(dst, text)
		}
	}
	return dst
}

func readCards(body []byte) ([]hsmapi.CardRecord, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d cards, at most %d", hsmapi.ErrForm, count, hsmapi.MaxPersons)
	}
	cards := make([]hsmapi.CardRecord, count)
	for i := range cards {
		c := &cards[i]
		id, card, no, pan := r.text(), r.text(), r.text(), r.text()
		if r.bad {
			break
		}
		var err error
		c.CardID, c.CardNo = card, no
		if c.IDNumber, err = si.ParseIDNumber(id); err != nil {
			return nil, fmt.Errorf("%w: ID number of card %d", hsmapi.ErrForm, i)
		}
		if c.PAN, err = si.ParsePAN(pan); err != nil {
			return nil, fmt.Errorf("%w: card number of card %d", hsmapi.ErrForm, i)
		}
	}
	return cards, r.done()
}

func appendCardHashes(dst []byte, hashes []hsmapi.CardHashes) []byte {
	for i := range hashes {
		for _, h := range []*si.Hash{&hashes[i].IDHash, &hashes[i].CardHash, &hashes[i].NoHash, &hashes[i].PANHash} {
			dst = append(dst, h[:]...)
		}
	}
	return dst
}

func readCardHashes(body []byte, count int) ([]hsmapi.CardHashes, error) {
	r := reader{b: body}
	hashes := make([]hsmapi.CardHashes, count)
	for i := range hashes {
		for _, h := range []*si.Hash{&hashes[i].IDHash, &hashes[i].CardHash, &hashes[i].NoHash, &hashes[i].PANHash} {
			r.fill(h[:])
		}
	}
	return hashes, r.done()
}

func appendPersons(dst []byte, persons []hsmapi.PersonRecord) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(persons)))
	for i := range persons {
		p := &persons[i]
		for _, text := range []string{p.IDNumber.Reveal(purpose), p.Name.Reveal(purpose), p.Phone, p.Address} {
			dst = appendText(dst, text)
		}
	}
	return dst
}

func readPersons(body []byte) ([]hsmapi.PersonRecord, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, count, hsmapi.MaxPersons)
	}
	persons := make([]hsmapi.PersonRecord, count)
	for i := range persons {
		p := &persons[i]
		id, name := r.text(), r.text()
		p.Name, p.Phone, p.Address = si.NewName(name), r.text(), r.text()
		if r.bad {
			break
		}
		var err error
		if p.IDNumber, err = si.ParseIDNumber(id); err != nil {
			return nil, fmt.Errorf("%w: ID number of person %d", hsmapi.ErrForm, i)
		}
	}
	return persons, r.done()
}

func appendSealedPersons(dst []byte, sealed []hsmapi.SealedPerson) []byte {
	for i := range sealed {
		dst = append(dst, sealed[i].IDHash[:]...)
		dst = appendBytes(dst, sealed[i].Blob)
	}
	return dst
}

// readSealedPersons keeps the body: the blobs are parts of it.
func readSealedPersons(body []byte, count int) ([]hsmapi.SealedPerson, error) {
	r := reader{b: body}
	sealed := make([]hsmapi.SealedPerson, count)
	for i := range sealed {
		r.fill(sealed[i].IDHash[:])
		blob := r.bytes()
		sealed[i].Blob = blob[:len(blob):len(blob)]
	}
	return sealed, r.done()
}

func appendPersonView(dst []byte, v hsmapi.PersonView) []byte {
	return appendText(appendText(dst, v.MaskedName), v.IDTail)
}

func readPersonView(body []byte) (v hsmapi.PersonView, err error) {
	r := reader{b: body}
	v.MaskedName, v.IDTail = r.text(), r.text()
	return v, r.done()
}

// maxPersonBlob bounds one sealed person of a batch: the longest there is has
// 823 bytes, and a full batch of these is far below a frame.
const maxPersonBlob = 2048

// OpenPersons: count u16; per person the blob. Answer: per person the view.

func appendBlobs(dst []byte, blobs [][]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(blobs)))
	for _, b := range blobs {
		dst = appendBytes(dst, b)
	}
	return dst
}

func readBlobs(body []byte) ([][]byte, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, count, hsmapi.MaxPersons)
	}
	blobs := make([][]byte, count)
	for i := range blobs {
		blobs[i] = r.bytes()
	}
	return blobs, r.done()
}

func appendPersonViews(dst []byte, views []hsmapi.PersonView) []byte {
	for _, v := range views {
		dst = appendPersonView(dst, v)
	}
	return dst
}

func readPersonViews(body []byte, count int) ([]hsmapi.PersonView, error) {
	r := reader{b: body}
	views := make([]hsmapi.PersonView, count)
	for i := range views {
		views[i].MaskedName, views[i].IDTail = r.text(), r.text()
	}
	return views, r.done()
}

// RevisePersons: count u16; per person ID number, name, blob. Answer: per person
// the view, names differ u8, new blob (empty if they do not).

func appendRevisions(dst []byte, persons []hsmapi.PersonRevision) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(persons)))
	for i := range persons {
		p := &persons[i]
		dst = appendText(dst, p.IDNumber.Reveal(purpose))
		dst = appendText(dst, p.Name.Reveal(purpose))
		dst = appendBytes(dst, p.Blob)
	}
	return dst
}

func readRevisions(body []byte) ([]hsmapi.PersonRevision, error) {
	r := reader{b: body}
	count := int(r.u16())
	if count > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, count, hsmapi.MaxPersons)
	}
	persons := make([]hsmapi.PersonRevision, count)
	for i := range persons {
		p := &persons[i]
		id, name := r.text(), r.text()
		p.Name, p.Blob = si.NewName(name), r.bytes()
		if r.bad {
			break
		}
		var err error
		if p.IDNumber, err = si.ParseIDNumber(id); err != nil {
			return nil, fmt.Errorf("%w: ID number of person %d", hsmapi.ErrForm, i)
		}
	}
	return persons, r.done()
}

func appendRevised(dst []byte, revised []hsmapi.PersonRevised) []byte {
	for i := range revised {
		dst = appendPersonView(dst, revised[i].View)
		dst = appendFlag(dst, revised[i].NameDiffers)
		dst = appendBytes(dst, revised[i].Blob)
	}
	return dst
}

// readRevised keeps the body: the blobs are parts of it.
func readRevised(body []byte, count int) ([]hsmapi.PersonRevised, error) {
	r := reader{b: body}
	revised := make([]hsmapi.PersonRevised, count)
	for i := range revised {
		v := &revised[i]
		v.View.MaskedName, v.View.IDTail, v.NameDiffers = r.text(), r.text(), r.flag()
		if blob := r.bytes(); v.NameDiffers {
			v.Blob = blob[:len(blob):len(blob)]
		}
	}
	return revised, r.done()
}

func appendMemo(dst []byte, m hsmapi.SealMemo) []byte {
	dst = append(dst, byte(m.Bank))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Date))
	dst = append(dst, m.Payment[:]...)
	return appendBytes(dst, m.Data)
}

func readMemo(body []byte) (m hsmapi.SealMemo, err error) {
	r := reader{b: body}
	m.Bank, m.Date = si.Bank(r.u8()), si.BusinessDate(r.u16())
	r.fill(m.Payment[:])
	m.Data = r.bytes()
	return m, r.done()
}
