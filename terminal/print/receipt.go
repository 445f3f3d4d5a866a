package print

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Options is what is the same on every paper of a terminal.
type Options struct {
	Lang    string // "zh" or "en": which name of an insurance type stands first
	Demo    bool   // print 演示 DEMO at head and foot
	Agency  string // issuing agency
	Hotline string
	Verify  string // address of the public verify page; empty: the QR holds the plain reference
}

// Pending is what the slip of an unresolved payment tells. It has no receipt
// number, because there is none.
type Pending struct {
	Payment  si.PaymentID
	Time     string // 2006-01-02 15:04:05, China
	Name     string // masked
	IDTail   string
	Bank     string
	CardTail string
	Terminal string
	Total    si.Fen
	Dues     []termapi.Due
}

// Errors of the layouts.
var (
	ErrNoReceipt = errors.New("print: no receipt number; only a posted payment has a receipt")
	ErrTotal     = errors.New("print: the lines do not add up to the total")
	ErrNoPayment = errors.New("print: a pending slip needs the payment id")
	ErrTail      = errors.New("print: more than four digits of a card or ID number")
)

// MaxLines is how many dues one paper holds: the largest payment.
const MaxLines = 24

// Receipt lays out the receipt of a posted payment.
func Receipt(r termapi.Receipt, o Options) ([]byte, error) {
	no, err := si.ParseReceiptNo(r.No)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrNoReceipt, r.No)
	}
	if err := check(r.Dues, si.Fen(r.Total), r.CardTail, r.IDTail); err != nil {
		return nil, err
	}
	b := newBuilder()
	b.head(o, "社会保险费缴费回单", "Social insurance payment receipt")
	if r.Duplicate > 0 {
		b.align(Center)
		b.style(2, true)
		b.line(fmt.Sprintf("补打 DUPLICATE %d", r.Duplicate), 2)
		b.style(1, false)
	}
	b.align(Left)
	b.rule()
	b.pairIf("经办机构 Agency", o.Agency)
	b.pairIf("缴费人 Paid for", person(r.Name, r.IDTail))
	b.pairIf("参保地 Insured at", r.Area)
	b.rule()
	b.dues(r.Dues, o.Lang)
	b.total(si.Fen(r.Total))
	b.rule()
	b.pairIf("银行 Bank", r.Bank)
	b.pairIf("卡尾号 Card ends", r.CardTail)
	b.pairIf("缴费渠道 Channel", channel(r.Channel))
	b.pairIf("时间 Time", r.Time)
	b.pairIf("终端号 Terminal", r.Terminal)
	b.pairIf("流水号 STAN", r.STAN)
	b.pairIf("检索参考号 RRN", r.RRN)
	b.pairIf("银行授权码 Approval", r.Auth)
	b.pairIf("结算日 Settlement day", r.BankDate)
	b.rule()
	b.pair("回单号 Receipt no.", no.String())
	b.align(Center)
	b.feed(1)
	b.code128(no.String())
	b.feed(1)
	b.qr(VerifyText(r, o.Verify))
	b.line("扫码核验 Scan to verify", 1)
	b.feed(1)
	b.style(1, true)
	b.line("以上费款已记为已缴。Paid.", 1)
	b.style(1, false)
	b.foot(o)
	return b.bytes()
}

// PendingSlip lays out the slip of a payment without a trusted answer.
func PendingSlip(p Pending, o Options) ([]byte, error) {
	if p.Payment.IsZero() {
		return nil, ErrNoPayment
	}
	if err := check(p.Dues, p.Total, p.CardTail, p.IDTail); err != nil {
		return nil, err
	}
	b := newBuilder()
	b.head(o, "待确认凭条", "Result not known yet")
	b.align(Center)
	b.style(1, true)
	b.line("本凭条不是缴费回单  This is not a receipt", 1)
	b.style(1, false)
	b.align(Left)
	b.rule()
	b.style(1, true)
	b.line("结果待确认，请勿重复缴费。", 1)
	b.style(1, false)
	b.line("系统会自动确认或冲正（退回这笔钱），结果以短信告知，也可在任一终端查询。", 1)
	b.line("The result is not known yet. Do not pay again. It will be confirmed or"+
		" reversed automatically; we will text you, or look here later.", 1)
	b.rule()
	b.pairIf("经办机构 Agency", o.Agency)
	b.pairIf("缴费人 Paid for", person(p.Name, p.IDTail))
	b.rule()
	b.dues(p.Dues, o.Lang)
	b.total(p.Total)
	b.rule()
	b.pairIf("银行 Bank", p.Bank)
	b.pairIf("卡尾号 Card ends", p.CardTail)
	b.pairIf("时间 Time", p.Time)
	b.pairIf("终端号 Terminal", p.Terminal)
	b.line("支付编号 Payment no.", 1)
	b.align(Center)
	b.style(1, true)
	b.line(groups(p.Payment.String()), 1)
	b.style(1, false)
	b.feed(1)
	b.qr(p.Payment.String())
	b.line("查询时请出示本凭条 Show this slip when you ask", 1)
	b.foot(o)
	return b.bytes()
}

// VerifyText is what the QR of a receipt holds, on paper and on the screen: the
// address of the verify page with the receipt number, or the plain reference.
func VerifyText(r termapi.Receipt, verify string) string {
	if verify != "" {
		return strings.TrimRight(verify, "/") + "/" + r.No
	}
	return fmt.Sprintf("SHEBAO RECEIPT %s %s %s", r.No, si.Fen(r.Total), r.Payment)
}

// check holds what must be true of every paper before a byte is laid out.
func check(dues []termapi.Due, total si.Fen, cardTail, idTail string) error {
	if len(cardTail) > 4 || len(idTail) > 4 {
		return ErrTail
	}
	if len(dues) > MaxLines {
		return fmt.Errorf("%w: %d dues, limit %d", ErrTooLong, len(dues), MaxLines)
	}
	var sum si.Fen
	for _, d := range dues {
		if d.Amount < 0 || d.LateFee < 0 || si.Fen(d.Amount) > si.MaxFen || si.Fen(d.LateFee) > si.MaxFen {
			return fmt.Errorf("print: due %s: %w", d.ID, si.ErrAmountRange)
		}
		sum += si.Fen(d.Amount) + si.Fen(d.LateFee)
	}
	if sum != total {
		return fmt.Errorf("%w: %s, total %s", ErrTotal, sum, total)
	}
	return nil
}

// head appends the demo mark and the two titles.
func (b *builder) head(o Options, title, english string) {
	b.align(Center)
	b.demo(o)
	b.style(2, true)
	b.line(title, 2)
	b.style(1, false)
	b.line(english, 1)
}

// foot appends the hot line and the demo mark, and cuts.
func (b *builder) foot(o Options) {
	b.align(Center)
	if o.Hotline != "" {
		b.line("咨询电话 Hotline "+o.Hotline, 1)
	}
	b.demo(o)
	b.align(Left)
	b.cut()
}

func (b *builder) demo(o Options) {
	if o.Demo {
		b.line("** 演示 DEMO 未涉及真实资金 no real money **", 1)
	}
}

func (b *builder) pairIf(label, value string) {
	if value != "" {
		b.pair(label, value)
	}
}

// dues appends the lines: name and amount, then period and kind, then late fee.
func (b *builder) dues(dues []termapi.Due, lang string) {
	for _, d := range dues {
		zh, en := fundName(d.Fund)
		first, second := zh, en
		if lang == "en" {
			first, second = en, zh
		}
		b.style(1, true)
		b.pair(first, si.Fen(d.Amount).Grouped())
		b.style(1, false)
		b.line("  "+second, 1)
		b.line("  "+period(d.Period)+"  "+kind(d.Kind), 1)
		if d.LateFee > 0 {
			b.pair("  滞纳金 Late fee", si.Fen(d.LateFee).Grouped())
		}
	}
	b.rule()
}

// total appends the sum in figures, twice as large, and in capital figures.
func (b *builder) total(sum si.Fen) {
	b.line("合计 Total (CNY)", 1)
	b.align(Right)
	b.style(2, true)
	b.line("￥"+sum.Grouped(), 2)
	b.style(1, false)
	b.align(Left)
	b.pair("大写", sum.Capitals())
}

func person(name, tail string) string {
	if tail == "" {
		return name
	}
	return strings.TrimSpace(name + "  证件尾号 " + tail)
}

// groups writes a payment id in eights, to be read aloud.
func groups(id string) string {
	var parts []string
	for len(id) > 8 {
		parts, id = append(parts, id[:8]), id[8:]
	}
	return strings.Join(append(parts, id), " ")
}

var fundNames = map[string][2]string{
	"PENSION_EMP": {"企业职工养老保险", "Employees' pension"},
	"PENSION_RES": {"城乡居民养老保险", "Residents' pension"},
	"PENSION_GOV": {"机关事业养老保险", "Public service pension"},
	"MED_EMP":     {"职工医疗保险", "Employees' medical"},
	"MED_RES":     {"城乡居民医疗保险", "Residents' medical"},
	"INJURY":      {"工伤保险", "Work injury"},
	"UNEMP":       {"失业保险", "Unemployment"},
	"MATERNITY":   {"生育保险", "Maternity"},
}

// fundName answers the code itself for an insurance type that is newer than this
// program, so that a receipt can always be printed.
func fundName(code string) (zh, en string) {
	if n, ok := fundNames[code]; ok {
		return n[0], n[1]
	}
	return code, code
}

var kindNames = map[string]string{
	"CURRENT":    "当期 current",
	"ARREARS":    "欠费补缴 arrears",
	"BACKPAY":    "中断补缴 back-payment",
	"SUPPLEMENT": "补差 supplement",
	"YEAR":       "年度缴费 yearly",
}

func kind(code string) string {
	if n, ok := kindNames[code]; ok {
		return n
	}
	return code
}

var channelNames = map[string]string{
	"TERMINAL": "自助终端 terminal",
	"COUNTER":  "银行柜台 bank counter",
	"EBANK":    "网上银行 e-bank",
	"BATCH":    "到期自动扣款 auto-debit",
	"DESK":     "经办窗口 desk",
}

func channel(code string) string {
	if n, ok := channelNames[code]; ok {
		return n
	}
	return code
}

func period(p string) string {
	if len(p) == 4 {
		return p + "年度"
	}
	if len(p) == 7 && p[4] == '-' {
		return p[:4] + "年" + p[5:] + "月"
	}
	return p
}
