// Package residents makes fictional residents: persons with ID numbers, names,
// cards at four banks and the figures by which dues are assessed. The same seed
// and number give the same people, one by one and in any order, so a million
// need no memory.
//
// Nobody here exists. Every ID number begins with the area code 330199, which
// no county has; the bank cards have issuer numbers that no bank has.
package residents

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Fictional number blocks.
const (
	// AreaBlock begins every generated ID number: not an assigned county code.
	AreaBlock = "330199"
	// CardArea is the issuing area on the cards.
	CardArea = "330100"
	// MaxPersons is how many people the serial part of the numbers can tell
	// apart; the model district has 903,000.
	MaxPersons = 2_000_000
)

// Bank is a bank of the demo with its fictional issuer number.
type Bank struct {
	Code   string
	Number si.Bank
	IIN    string
	Digits int // of its PANs
}

// Banks are the four banks; cards are dealt to them in turn.
var Banks = [4]Bank{
	{"rcb", 1, "62990001", 16},
	{"icbc", 2, "62990002", 19},
	{"ccb", 3, "62990003", 16},
	{"boc", 4, "62990004", 16},
}

// Resident is one fictional person with card and contribution bases.
type Resident struct {
	Index     int
	IDNumber  string
	Name      string
	Sex       uint8 // 1 male, 2 female
	BirthYear int
	BirthText string // YYYYMMDD
	PType     si.PType
	Household si.AreaCode
	Phone     string
	Address   string
	Retired   bool

	Bank       Bank
	CardID     string // 卡识别码, 32 hexadecimal digits (16 bytes)
	CardNo     string // 卡号, 9 characters
	PAN        string
	PSN        string
	CardIssued string // YYYYMMDD
	CardUntil  string // YYYYMMDD
	Expiry     string // YYMM of the bank application
	Balance    si.Fen // what the bank account holds

	Grade si.Fen // yearly grade of the resident pension
	Base  si.Fen // declared monthly base of a flexible worker
}

// Generator makes residents.
type Generator struct{ seed uint64 }

// New takes the seed of the whole population.
func New(seed uint64) Generator { return Generator{seed} }

const (
	surnames = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
	given    = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文海燕春生晓东云飞雪莲金凤小红立新永康家宝子涵雨桐浩宇欣怡思远佳慧天佑嘉懿若曦"
)

var (
	surnameRunes = []rune(surnames)
	givenRunes   = []rune(given)
	// rare characters outside the basic plane and minority names keep every
	// reader, printer and font honest.
	rareNames = []string{"𠮷田文", "王㛃", "买买提·吐尔逊", "阿依古丽·麦麦提", "李𬀩", "赵䶮"}
	grades    = []si.Fen{10_000, 30_000, 50_000, 100_000, 200_000, 300_000, 500_000} // of data/rates/330110.yaml
	streets   = []string{"良渚街道", "仓前街道", "五常街道", "闲林街道", "中泰街道", "余杭街道", "瓶窑镇", "径山镇", "黄湖镇", "鸬鸟镇", "百丈镇"}
)

// firstTown is the area code of the first of the streets; the town codes 901 and
// up are not assigned in the district.
const firstTown si.AreaCode = 330110901

// firstBirth is the oldest birthday, 1931-01-01; birthDays spans 75 years.
var firstBirth = time.Date(1931, 1, 1, 0, 0, 0, 0, time.UTC)

const birthDays = 27_393

// At makes the i-th resident, counted from 0.
func (g Generator) At(i int) (Resident, error) {
	if i < 0 || i >= MaxPersons {
		return Resident{}, fmt.Errorf("residents: person %d: at most %d people can be told apart", i, MaxPersons)
	}
	r := rand.New(rand.NewPCG(g.seed, uint64(i)))
	p := Resident{Index: i, Bank: Banks[i%len(Banks)]}
	// Birthdays are dealt in a fixed permuted order; the serial tells those of
	// one day apart, and its last digit is the sex.
	day := int(uint64(i%birthDays) * 7919 % birthDays)
	serial := 2 * (i / birthDays)
	p.Sex = uint8(2 - r.IntN(2))
	if p.Sex == 1 {
		serial++
	}
	birth := firstBirth.AddDate(0, 0, day)
	p.BirthYear = birth.Year()
	p.BirthText = birth.Format("20060102")
	first17 := fmt.Sprintf("%s%s%03d", AreaBlock, p.BirthText, serial)
	last, err := si.IDCheckDigit(first17)
	if err != nil {
		return Resident{}, err
	}
	p.IDNumber = first17 + string(last)
	p.Name = name(r)
	p.Phone = fmt.Sprintf("100%08d", i) // no carrier has the prefix 100
	town := r.IntN(len(streets))
	p.Household = firstTown + si.AreaCode(town)
	p.Address = fmt.Sprintf("示例区%s第%d村%d号", streets[town], 1+r.IntN(334), 1+r.IntN(400))
	p.classify(r)
	return p, p.card(r)
}

func name(r *rand.Rand) string {
	if r.IntN(400) == 0 {
		return rareNames[r.IntN(len(rareNames))]
	}
	n := string(surnameRunes[r.IntN(len(surnameRunes))]) + string(givenRunes[r.IntN(len(givenRunes))])
	if r.IntN(4) > 0 {
		n += string(givenRunes[r.IntN(len(givenRunes))])
	}
	return n
}

// classify deals person types by age (as of 2026), in the proportions of a
// rural district, and the figures that dues are assessed by.
func (p *Resident) classify(r *rand.Rand) {
	age := 2026 - p.BirthYear
	p.PType = si.Resident
	switch {
	case age < 22:
		p.PType = si.Student
	case age >= 60:
		p.Retired = r.IntN(2) == 0
	case r.IntN(5) == 0:
		p.PType = si.Flex
	}
	if age < 60 { // a pensioner pays for medical insurance alone
		p.Grade = grades[r.IntN(len(grades))]
	}
	p.Base = si.Fen(380_300 + 100*r.IntN(4_000))
	p.Balance = si.Fen(1_000_000 + 100*r.IntN(3_000_000))
}

func (p *Resident) card(r *rand.Rand) error {
	p.CardIssued, p.CardUntil, p.Expiry, p.PSN = "20200601", "20300601", "3006", "01"
	p.CardID = fmt.Sprintf("%sD156000005%08X%08X", CardArea, p.Index, r.Uint32())
	no := fmt.Sprintf("%c%07d", 'A'+p.Index/10_000_000, p.Index)
	p.CardNo = no + string(cardNoCheck(no))
	digits := fmt.Sprintf("%s%0*d", p.Bank.IIN, p.Bank.Digits-1-len(p.Bank.IIN), p.Index)
	last, err := si.LuhnDigit(digits)
	if err != nil {
		return err
	}
	p.PAN = digits + string(last)
	return nil
}

// cardNoCheck is the ninth character of a 卡号: 11 − Σ Ci·Wi mod 11 with weights
// 3 7 9 10 5 8 4 2, letters from A = 10; 10 is X, 11 is 0.
func cardNoCheck(eight string) byte {
	sum := 0
	for i, w := range [8]int{3, 7, 9, 10, 5, 8, 4, 2} {
		c := int(eight[i] - '0')
		if eight[i] >= 'A' {
			c = int(eight[i]-'A') + 10
		}
		sum += c * w
	}
	return "0123456789X0"[11-sum%11]
}
