package bankfile

import "fmt"

// Code is why a file is not taken. The numbers are those of the ledger's
// FileRegister and are never reused.
type Code uint8

// The codes. Read and ReadStatement find Truncated to BadStatement; Missing and
// BadSignature are the caller's.
const (
	Missing      Code = iota + 1 // Q01
	Truncated                    // Q02
	SumsDiffer                   // Q03
	HashDiffers                  // Q04
	Misplaced                    // Q05
	BadForm                      // Q06
	Duplicate                    // Q07
	OtherDate                    // Q08
	OverLimit                    // Q09
	BadStatement                 // Q10
	BadSignature                 // Q11
	codeEnd
)

var reasons = [codeEnd]struct{ english, chinese string }{
	Missing:      {"missing at the bank's deadline", "到时限仍未收到文件"},
	Truncated:    {"no trailer, cut short, bytes after the trailer, or an unfinished last line", "缺少尾记录、文件不完整、尾记录后有多余内容或末行未结束"},
	SumsDiffer:   {"a count or sum differs from header, trailer or details", "笔数或金额与文件头、尾记录或明细不符"},
	HashDiffers:  {"hash, flag file or size differs", "摘要、标志文件或文件大小不符"},
	Misplaced:    {"wrong bank, region, kind or date, a gap in the sequence, or a sequence repeated without a higher version", "银行、统筹区、类别或日期不符，序号不连续，或同一序号重复而版本号未提高"},
	BadForm:      {"bad character set, control character, field count, field length, digit, sign or date", "字符集、控制字符、字段数、字段长度、数字、金额方向或日期有误"},
	Duplicate:    {"a line number or a row comes twice", "行号或明细重复"},
	OtherDate:    {"a line is of another settlement date than the file", "明细的结算日与文件头不同"},
	OverLimit:    {"over a limit of size, lines or length", "超过文件大小、行数或行长的限制"},
	BadStatement: {"a check of the account statement fails", "账户对账报文校验不符"},
	BadSignature: {"signature or manifest is wrong", "签名或清单有误"},
}

// String is the code as people say it, such as Q03.
func (c Code) String() string { return fmt.Sprintf("Q%02d", uint8(c)) }

// English is the reason in English; empty for a code that does not exist.
func (c Code) English() string {
	if c >= codeEnd {
		return ""
	}
	return reasons[c].english
}

// Chinese is the reason in Chinese; empty for a code that does not exist.
func (c Code) Chinese() string {
	if c >= codeEnd {
		return ""
	}
	return reasons[c].chinese
}

// Quarantine is the verdict on a file that is not taken. It never holds what
// stands in the file: only where and what kind of fault.
type Quarantine struct {
	Code   Code
	Offset int64  // of the first byte at fault, from 0; where nothing is at fault but the whole, the file's end or 0
	Line   int    // from 1; 0 where no line is at fault
	Field  string // name of the field, empty where none is
	Why    string // what is wrong, one sentence without an end
}

func (q *Quarantine) Error() string {
	field := ""
	if q.Field != "" {
		field = ", field " + q.Field
	}
	return fmt.Sprintf("bankfile: %s %s (line %d, byte %d%s): %s; nothing of the file counts, ask the bank for a higher version",
		q.Code, q.Code.English(), q.Line, q.Offset, field, q.Why)
}
