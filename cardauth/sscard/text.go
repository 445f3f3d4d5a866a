package sscard

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// ErrText is returned for bytes that are not GB 18030 text.
var ErrText = errors.New("sscard: text is not GB 18030")

// DecodeText reads GB 18030, the character set of card text (assumed, see
// docs/spec/card.md). Bytes that stand for nothing are an error, not a question
// mark: a name that is nearly right is a wrong name.
func DecodeText(b []byte) (string, error) {
	out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil || !utf8.Valid(out) {
		return "", ErrText
	}
	s := string(out)
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }) {
		return "", ErrText
	}
	return s, nil
}

// joinName puts 姓名 and 姓名扩展 together before decoding, because a character
// may begin in one record and end in the next. Where the name goes on, a blank
// at the end of the first record is part of it and only zeros are padding.
func joinName(name, more []byte) []byte {
	more = trim(more)
	if len(more) == 0 {
		return trim(name)
	}
	return append(bytes.TrimRight(bytes.Clone(name), "\x00"), more...)
}

// trim takes the padding off text: zeros by the notice, blanks on some cards.
func trim(b []byte) []byte { return bytes.TrimRight(b, "\x00 ") }
