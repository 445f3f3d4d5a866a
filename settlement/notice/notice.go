package notice

import (
	"errors"
	"fmt"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"

	"github.com/shebao-pay/shebao/settlement/paper"
	"github.com/shebao-pay/shebao/si"
)

// MaxDues is how many dues fit on the sheet: as many as one payment may hold
// (ledgerapi.MaxDues).
const MaxDues = 24

// ErrNotice is wrapped by every refusal to draw a notice that contradicts itself:
// a sheet that says two things is worse than none.
var ErrNotice = errors.New("notice: not drawn")

// Sender is who issues notices.
type Sender struct {
	Agency  string   // name of the agency
	Hotline string   // may be empty
	Banks   []string // names of banks that take notices
	Demo    bool     // marks each sheet as worthless
}

// Office is the office (经办网点) a person belongs to; the zero Office is none.
type Office struct {
	Code, Name, Address, Phone string
}

// Due is one line of the sheet.
type Due struct {
	Fund            si.Fund
	Period          si.Period
	Amount, LateFee si.Fen
}

// Notice is what a sheet says.
type Notice struct {
	No         si.NoticeNo
	Name       string // masked
	IDTail     string
	Dues       []Due
	Total      si.Fen
	Issued     si.BusinessDate
	ValidUntil si.BusinessDate
}

// check refuses what a citizen could be misled by.
func (n *Notice) check() error {
	if len(n.Dues) == 0 || len(n.Dues) > MaxDues {
		return fmt.Errorf("%w: %d dues, 1 to %d fit on a sheet", ErrNotice, len(n.Dues), MaxDues)
	}
	var sum si.Fen
	for _, d := range n.Dues {
		if d.Amount < 0 || d.LateFee < 0 || d.Amount > si.MaxFen || d.LateFee > si.MaxFen {
			return fmt.Errorf("%w: an amount out of range", ErrNotice)
		}
		sum += d.Amount + d.LateFee
	}
	switch {
	case sum != n.Total || n.Total <= 0:
		return fmt.Errorf("%w: the dues come to %s and the total says %s", ErrNotice, sum, n.Total)
	case n.ValidUntil < n.Issued || n.Issued == 0:
		return fmt.Errorf("%w: issued %s, valid until %s", ErrNotice, n.Issued, n.ValidUntil)
	}
	_, err := si.ParseNoticeNo(n.No.String())
	return err
}

// Draw draws a notice on a page of its own and adds it to the file.
func Draw(d *paper.Doc, from *Sender, at *Office, n *Notice) error {
	if err := n.check(); err != nil {
		return err
	}
	p := d.Page()
	if err := head(p, from, n); err != nil {
		return err
	}
	y := payer(p, at, n)
	y = lines(p, n, y)
	y = sum(p, n, y)
	how(p, from, at, y)
	if from.Demo {
		p.Centre(paper.Width/2, 2900, 42, "演示用，不能缴费 DEMONSTRATION ONLY, NOT PAYABLE")
	}
	return d.Add(p)
}

// The frame: edges in tenths of a millimetre.
const (
	left   = 180
	right  = paper.Width - 180
	indent = 25
)

// Sizes of characters in tenths of a millimetre.
const (
	titleSize = 76
	textSize  = 38
	smallSize = 32
)

// head draws title, number and both symbols.
func head(p *paper.Page, from *Sender, n *Notice) error {
	p.Fit(left, 210, textSize+4, 1200, from.Agency)
	p.Text(left, 310, titleSize, "社会保险费缴费通知单")
	p.Text(left, 365, smallSize, "Payment notice for social security contributions")
	no := n.No.String()
	bars, err := code128.Encode(no)
	if err != nil {
		return fmt.Errorf("%w: Code 128: %w", ErrNotice, err)
	}
	square, err := qr.Encode(no, qr.M, qr.Numeric)
	if err != nil {
		return fmt.Errorf("%w: QR code: %w", ErrNotice, err)
	}
	// Bars of 0.4 mm and cells of 1.2 mm: coarse enough for any printer and old
	// scanners. Both keep their quiet zones free.
	p.Dots(left+40, 410, 4, 150, bars.Bounds().Dx(), 1, dark(bars))
	p.Text(left+40, 605, textSize+8, spaced(no))
	cells := square.Bounds().Dx()
	p.Dots(right-40-12*cells, 340, 12, 12, cells, cells, dark(square))
	return nil
}

func dark(b barcode.Barcode) func(x, y int) bool {
	return func(x, y int) bool {
		r, _, _, _ := b.At(x, y).RGBA()
		return r == 0
	}
}

// spaced writes a number in groups of four, as people read it aloud.
func spaced(no string) string {
	out := no[:4]
	for i := 4; i < len(no); i += 4 {
		out += " " + no[i:i+4]
	}
	return out
}

// payer draws who the notice is for and until when, and tells where it ends.
func payer(p *paper.Page, at *Office, n *Notice) int {
	y := 660
	p.Line(left, y, right, y, 3)
	p.Fit(left, y+58, textSize, 820, "姓名 Name　"+n.Name)
	p.Fit(left+860, y+58, textSize, right-left-860, "证件号末位 ID ending　"+n.IDTail)
	p.Text(left, y+116, textSize, "开单日期 Issued　"+n.Issued.String())
	p.Text(left+860, y+116, textSize, "有效期至 Valid until　"+n.ValidUntil.String())
	if at.Name != "" {
		p.Fit(left, y+174, textSize, right-left, "经办网点 Office　"+at.Name+"（"+at.Code+"）")
		y += 58
	}
	return y + 150
}

// Right edges of the columns of amounts.
const (
	amountEdge = right - 500
	lateEdge   = right - 230
)

// lines draws the dues and tells where they end.
func lines(p *paper.Page, n *Notice, y int) int {
	const row = 52
	p.Fill(left, y, right-left, row, 88)
	p.Text(left+indent, y+37, smallSize, "险种 Insurance")
	p.Text(left+640, y+37, smallSize, "费款所属期 Period")
	p.Right(amountEdge, y+37, smallSize, "应缴 Due")
	p.Right(lateEdge, y+37, smallSize, "滞纳金 Late fee")
	p.Right(right-indent, y+37, smallSize, "小计 Sum")
	for _, d := range n.Dues {
		y += row
		p.Text(left+indent, y+37, smallSize, funds[d.Fund])
		p.Text(left+640, y+37, smallSize, period(d.Period))
		p.Right(amountEdge, y+37, smallSize, d.Amount.Grouped())
		p.Right(lateEdge, y+37, smallSize, d.LateFee.Grouped())
		p.Right(right-indent, y+37, smallSize, (d.Amount + d.LateFee).Grouped())
		p.Line(left, y+row, right, y+row, 1)
	}
	return y + row
}

// funds are the names of the insurance types as the public knows them.
var funds = map[si.Fund]string{
	si.PensionEmp: "企业职工基本养老保险", si.PensionRes: "城乡居民基本养老保险", si.PensionGov: "机关事业单位养老保险",
	si.MedEmp: "职工基本医疗保险", si.MedRes: "城乡居民基本医疗保险", si.Injury: "工伤保险", si.Unemp: "失业保险", si.Maternity: "生育保险",
}

func period(p si.Period) string {
	if p.IsYear() {
		return fmt.Sprintf("%d年度", p.Year())
	}
	return fmt.Sprintf("%d年%d月", p.Year(), int(p.Month()))
}

// sum draws the total in digits and in the capitals that cannot be altered.
func sum(p *paper.Page, n *Notice, y int) int {
	p.Line(left, y, right, y, 5)
	p.Text(left, y+70, textSize+4, fmt.Sprintf("合计 Total（%d笔）", len(n.Dues)))
	p.Right(right-indent, y+72, textSize+22, "￥"+n.Total.Grouped())
	p.Fit(left, y+140, textSize+4, right-left, "大写 In words　人民币"+n.Total.Capitals())
	p.Line(left, y+170, right, y+170, 5)
	return y + 170
}

// how draws how to pay.
func how(p *paper.Page, from *Sender, at *Office, y int) {
	banks := "签约银行"
	if len(from.Banks) > 0 {
		banks = ""
		for i, b := range from.Banks {
			if i > 0 {
				banks += "、"
			}
			banks += b
		}
	}
	notes := []string{
		"缴费办法 How to pay",
		"1. 柜面：凭本单到下列银行任一网点，由柜员扫描条形码缴费。At a counter: show this sheet.",
		"2. 网上银行、手机银行：选择社保缴费，扫描二维码或输入20位通知单号。Online: scan or type the number.",
		"银行 Banks：" + banks,
		"实缴金额以缴费时银行查询结果为准；逾期可能产生滞纳金。The bank asks for the amount of the day.",
		"过期无效，可重新开具；缴清后本单不可重复缴费。缴费成功请索取回单。Ask for a receipt.",
	}
	contact := ""
	if from.Hotline != "" {
		contact = "咨询 Hotline：" + from.Hotline + "　"
	}
	if at.Address != "" || at.Phone != "" {
		contact += "网点 Office：" + at.Address + "　" + at.Phone
	}
	if contact != "" {
		notes = append(notes, contact)
	}
	y += 20
	for _, line := range notes {
		y += 50
		p.Fit(left, y, smallSize, right-left, line)
	}
}
