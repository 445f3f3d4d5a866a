package stage

import (
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/residents"
)

// Card is one card on the tray with the story it tells.
type Card struct {
	ID      string
	Name    string // of the holder, as printed on the card
	Bank    string // bank code
	Tail    string // last four digits of the account
	Story   string // zh
	StoryEn string
	Person  residents.Resident
	Data    chipcard.Data
	PIN     string
	Balance si.Fen
}

// DemoPIN opens every card of the demo.
const DemoPIN = "123456"

// tray deals the demo's cards among the first persons residents.
type tray struct {
	gen     residents.Generator
	persons int
	imk     func(bank string) string
	used    map[int]bool
	cards   []Card
	err     error
}

// pick finds the first unused resident that fits.
func (t *tray) pick(fits func(residents.Resident) bool) residents.Resident {
	for i := 0; i < t.persons; i++ {
		p, err := t.gen.At(i)
		if err != nil {
			t.err = err
			return p
		}
		if !t.used[i] && fits(p) {
			t.used[i] = true
			return p
		}
	}
	t.err = fmt.Errorf("stage: no resident among %d fits a card of the tray; take more persons", t.persons)
	return residents.Resident{Bank: residents.Banks[0]}
}

// add puts a resident's card on the tray; change makes it tell its story.
func (t *tray) add(id, story, storyEn string, p residents.Resident, change func(*Card)) {
	if t.err != nil {
		return
	}
	c := Card{
		ID: id, Name: p.Name, Bank: p.Bank.Code, Tail: p.PAN[len(p.PAN)-4:], Story: story, StoryEn: storyEn,
		Person: p, Data: CardData(p, t.imk(p.Bank.Code)), PIN: DemoPIN, Balance: p.Balance,
	}
	c.Data.ID = id
	if change != nil {
		change(&c)
	}
	t.cards = append(t.cards, c)
}

// CardData is the chip of a resident's card.
func CardData(p residents.Resident, imk string) chipcard.Data {
	b := chipcard.Bank{PAN: p.PAN, PSN: p.PSN, Expiry: p.Expiry + "30", Cipher: "3DES", IMK: imk}
	if p.Bank.Code == "boc" {
		b.Cipher, b.CipherID = "SM4", 4
	}
	return chipcard.Data{
		ID: p.CardNo,
		Social: &chipcard.Social{
			Cipher: 1, Version: "2.00", CardID: p.CardID, Class: "3", Issued: p.CardIssued, ValidUntil: p.CardUntil,
			CardNo: p.CardNo, IDNumber: p.IDNumber, Name: p.Name,
		},
		Bank: &b,
	}
}

// dealTray makes the demo's twelve cards.
func dealTray(gen residents.Generator, persons int, imk func(string) string) ([]Card, error) {
	t := &tray{gen: gen, persons: persons, imk: imk, used: map[int]bool{}}
	paying := func(bank string, kind si.PType) func(residents.Resident) bool {
		return func(p residents.Resident) bool {
			return p.Bank.Code == bank && p.PType == kind && !p.Retired && 2026-p.BirthYear < 60 && len([]rune(p.Name)) <= 3
		}
	}
	t.add("resident-ccb", "城乡居民，欠两年医保和一年养老，余额充足", "Resident with medical and pension dues, enough money", t.pick(paying("ccb", si.Resident)), nil)
	t.add("resident-rcb", "城乡居民，农商银行卡", "Resident, card of the rural bank", t.pick(paying("rcb", si.Resident)), nil)
	t.add("resident-icbc", "城乡居民，19位卡号", "Resident, 19-digit account", t.pick(paying("icbc", si.Resident)), nil)
	t.add("resident-boc", "城乡居民，国密芯片卡", "Resident, SM4 chip", t.pick(paying("boc", si.Resident)), nil)
	t.add("flex-ccb", "灵活就业，按月缴费", "Flexible worker, monthly dues", t.pick(paying("ccb", si.Flex)), nil)
	t.add("elder-rcb", "高龄老人，只缴医保，宜用长辈版", "Elder, medical dues only; try large type", t.pick(func(p residents.Resident) bool {
		return p.Bank.Code == "rcb" && 2026-p.BirthYear > 74
	}), nil)
	t.add("poor-ccb", "卡内余额不足", "Not enough money on the account", t.pick(paying("ccb", si.Resident)), func(c *Card) { c.Balance = 500 })
	t.add("expired-icbc", "卡已过有效期", "Card past its date", t.pick(paying("icbc", si.Resident)), func(c *Card) {
		c.Data.Bank.Expiry = "240630"
	})
	t.add("inactive-boc", "金融功能未激活", "Financial application not activated", t.pick(paying("boc", si.Resident)), func(c *Card) { c.Data.Bank = nil })
	t.add("swapped-ccb", "两个应用不是同一个人", "The two applications belong to different people", t.pick(paying("ccb", si.Resident)), func(c *Card) {
		other := t.pick(paying("ccb", si.Resident))
		c.Data.Bank.PAN, c.Data.Bank.HolderID = other.PAN, other.IDNumber
	})
	t.add("bankcard", "普通银行卡，不是社保卡", "A plain bank card", t.pick(paying("icbc", si.Resident)), func(c *Card) { c.Data.Social = nil })
	t.add("mute", "坏卡，没有反应", "A dead card", t.pick(paying("rcb", si.Resident)), func(c *Card) {
		c.Data.Faults = []chipcard.Fault{{Kind: chipcard.Mute, At: 1}}
	})
	stranger, err := gen.At(residents.MaxPersons - 7)
	if err != nil {
		return nil, err
	}
	t.add("stranger", "本地没有登记的卡", "A card that is not on the register here", stranger, nil)
	return t.cards, t.err
}

// Find gives the card of that name.
func Find(cards []Card, id string) (Card, error) {
	var names []string
	for _, c := range cards {
		if c.ID == id {
			return c, nil
		}
		names = append(names, c.ID)
	}
	return Card{}, fmt.Errorf("stage: no card %q on the tray; there are %s", id, strings.Join(names, ", "))
}
