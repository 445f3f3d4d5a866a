package chipcard

import (
	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/sscard"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

var socialName = string(sscard.Name)

// socialCommand is a command to the social security application.
func (c *Card) socialCommand(command apdu.Command) ([]byte, apdu.SW) {
	if command.CLA != 0 {
		return nil, apdu.WrongCLA
	}
	if command.INS != 0xB2 {
		return nil, apdu.WrongINS
	}
	if sfi := command.P2 >> 3; sfi != 0 {
		if sfi != 5 && sfi != 6 {
			return nil, apdu.NoFile
		}
		if c.power.file != sfi {
			c.power.file, c.power.record = sfi, 0
		}
	}
	var file tlv.List
	switch c.power.file {
	case 5:
		file = c.social.issuer
	case 6:
		if !c.social.holderFree {
			return nil, apdu.SecurityNotMet
		}
		file = c.social.holder
	default:
		return nil, 0x6986 // no current EF
	}
	n, sw := c.find(file, command.P1, command.P2&7)
	if sw != apdu.OK {
		return nil, sw
	}
	c.power.record = n
	item := file[n-1]
	return append([]byte{byte(item.Tag), byte(len(item.Value))}, item.Value...), apdu.OK
}

// find gives the number of the record that P1 and the low bits of P2 mean.
func (c *Card) find(file tlv.List, p1, mode byte) (int, apdu.SW) {
	n := 0
	switch mode {
	case 4: // P1 is the number
		n = int(p1)
	case 0, 1, 2, 3: // P1 is a tag: first, last, next, previous
		order := make([]int, 0, len(file))
		for i := range file {
			order = append(order, i+1)
		}
		if mode == 1 || mode == 3 {
			for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
				order[i], order[j] = order[j], order[i]
			}
		}
		for _, at := range order {
			if mode == 2 && at <= c.power.record || mode == 3 && at >= c.power.record {
				continue
			}
			if byte(file[at-1].Tag) == p1 {
				n = at
				break
			}
		}
	default:
		return 0, apdu.WrongP1P2
	}
	if n < 1 || n > len(file) {
		return 0, apdu.NoRecord
	}
	return n, apdu.OK
}
