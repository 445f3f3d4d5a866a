package bankmsg

// Bounds of DE 55. A chip's data nests at most a script command in a script
// template; three levels and 64 elements are more than any message has.
const (
	maxTLVDepth = 3
	maxTLVCount = 64
)

// Tags of EMV 4.3 Book 3, Annex A, that this package reads.
const (
	tagScript1    = 0x71
	tagScript2    = 0x72
	tagScriptCmd  = 0x86
	tagIssuerCode = 0x8A
	tagIssuerAuth = 0x91
)

// tlvHead reads tag and length at the beginning of b: the tag, whether it is
// constructed, where the value begins and how long it is. ok is false for
// overlong forms, tags of more than three bytes and values cut short.
func tlvHead(b []byte) (tag uint32, constructed bool, at, n int, ok bool) {
	if len(b) < 2 || b[0] == 0 || b[0] == 0xFF {
		return 0, false, 0, 0, false
	}
	tag, constructed, at = uint32(b[0]), b[0]&0x20 != 0, 1
	if b[0]&0x1F == 0x1F {
		for {
			if at == 3 || at == len(b) || at == 1 && b[1]&0x7F == 0 {
				return 0, false, 0, 0, false
			}
			tag = tag<<8 | uint32(b[at])
			at++
			if b[at-1]&0x80 == 0 {
				break
			}
		}
	}
	if at == len(b) {
		return 0, false, 0, 0, false
	}
	n = int(b[at])
	at++
	switch {
	case n < 0x80:
	case n == 0x81 && at < len(b) && b[at] >= 0x80:
		n = int(b[at])
		at++
	default:
		return 0, false, 0, 0, false
	}
	return tag, constructed, at, n, n <= len(b)-at
}

// wellFormed checks a whole DE 55: every byte belongs to an element, no element
// stands twice but scripts and their commands, which repeat by nature.
func wellFormed(b []byte) bool {
	count := 0
	return checkLevel(b, 1, &count)
}

func checkLevel(level []byte, depth int, count *int) bool {
	var seen [4]uint64 // a bit for each last byte of a tag; two tags may share one
	for b := level; len(b) > 0; {
		tag, constructed, at, size, ok := tlvHead(b)
		if !ok || *count == maxTLVCount {
			return false
		}
		*count++
		if word, bit := &seen[tag>>6&3], uint64(1)<<(tag&63); *word&bit == 0 {
			*word |= bit
		} else if standsBefore(level[:len(level)-len(b)], tag) {
			return false
		}
		if constructed && (depth == maxTLVDepth || !checkLevel(b[at:at+size], depth+1, count)) {
			return false
		}
		b = b[at+size:]
	}
	return true
}

// standsBefore looks for an element that may stand once only.
func standsBefore(b []byte, tag uint32) bool {
	if tag == tagScript1 || tag == tagScript2 || tag == tagScriptCmd {
		return false
	}
	_, found := Tag(b, tag)
	return found
}

// Tag finds the value of a top-level element of DE 55.
func Tag(de55 []byte, tag uint32) ([]byte, bool) {
	for len(de55) > 0 {
		t, _, at, n, ok := tlvHead(de55)
		if !ok {
			return nil, false
		}
		if t == tag {
			return de55[at : at+n], true
		}
		de55 = de55[at+n:]
	}
	return nil, false
}

// PickTags appends the top-level elements of de55 that are in the list, in the
// order of the list, as they stand: the data of a reversal from that of its
// original.
func PickTags(dst, de55 []byte, list []uint32) []byte {
	for _, want := range list {
		for rest := de55; len(rest) > 0; {
			t, _, at, n, ok := tlvHead(rest)
			if !ok {
				break
			}
			if t == want {
				dst = append(dst, rest[:at+n]...)
				break
			}
			rest = rest[at+n:]
		}
	}
	return dst
}

// IssuerData is what the issuer sent for the chip.
type IssuerData struct {
	ARC     string // tag 8A, else DE 39
	Auth    []byte // value of tag 91
	Scripts []byte // templates 71 and 72 as they came
}

// Issuer reads what a reply carries for the chip. The result is a copy.
func Issuer(m *Message) IssuerData {
	d := IssuerData{ARC: string(m.Field(39))}
	for rest := m.Field(55); len(rest) > 0; {
		t, _, at, n, ok := tlvHead(rest)
		if !ok {
			break
		}
		v := rest[at : at+n]
		switch t {
		case tagIssuerCode:
			if n == 2 {
				d.ARC = string(v)
			}
		case tagIssuerAuth:
			d.Auth = append([]byte(nil), v...)
		case tagScript1, tagScript2:
			d.Scripts = append(d.Scripts, rest[:at+n]...)
		}
		rest = rest[at+n:]
	}
	return d
}
