package core

import "github.com/shebao-pay/shebao/si"

// denseLen is how many ids share a piece of the index: 16 KiB.
const denseLen = 4096

// dense finds the slot of a due. Ids count from 1 without gaps, so the index is an
// array: 4 bytes a due and one look, where a table by hash takes 13 bytes and two
// or three looks into memory that no cache holds. A piece is let go when the last
// of its dues has left.
type dense struct {
	pieces []*densePiece
	n      int
}

type densePiece struct {
	slots [denseLen]uint32
	n     int
}

// get gives the slot of a due, or 0.
func (x *dense) get(id si.DueID) uint32 {
	if i := id / denseLen; i < si.DueID(len(x.pieces)) && x.pieces[i] != nil {
		return x.pieces[i].slots[id%denseLen]
	}
	return 0
}

// put adds a due that is not there. Ids are given by the machine and read from
// its own rows: the next one is never far above the last.
func (x *dense) put(id si.DueID, slot uint32) {
	i := id / denseLen
	for si.DueID(len(x.pieces)) <= i {
		x.pieces = append(x.pieces, nil)
	}
	if x.pieces[i] == nil {
		x.pieces[i] = new(densePiece)
	}
	x.pieces[i].slots[id%denseLen] = slot
	x.pieces[i].n++
	x.n++
}

// del removes a due that is there.
func (x *dense) del(id si.DueID) {
	i := id / denseLen
	p := x.pieces[i]
	p.slots[id%denseLen] = 0
	x.n--
	if p.n--; p.n == 0 {
		x.pieces[i] = nil
	}
}
