package core

import "github.com/shebao-pay/shebao/si"

// thread links the records of a shelf by person, so that one person's are found
// without a scan. The shelf's placed hook puts each record in once.
type thread struct {
	heads table[si.PersonNo]
	of    func(slot uint32) (who si.PersonNo, next *uint32)
}

func newThread(of func(slot uint32) (who si.PersonNo, next *uint32)) *thread {
	t := &thread{of: of}
	t.heads = newTable(func(no si.PersonNo) uint64 { return mix(uint64(no)) }, func(slot uint32) si.PersonNo {
		who, _ := of(slot)
		return who
	})
	return t
}

// put links a record that is new; one of nobody is linked nowhere.
func (t *thread) put(slot uint32) {
	who, next := t.of(slot)
	if who == 0 {
		return
	}
	head := t.heads.get(who)
	if head != 0 {
		t.heads.del(who, head)
	}
	*next = head
	t.heads.put(who, slot)
}

// slots are a person's records in the order in which they were put.
func (t *thread) slots(who si.PersonNo) []uint32 {
	var all []uint32
	for slot := t.heads.get(who); slot != 0; {
		all = append(all, slot)
		_, next := t.of(slot)
		slot = *next
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// numberHash and numberRow are for records that a region counts: 1, 2, 3 …,
// without a gap, because a shelf loses nothing. Restored in order of keys they
// stand in the order in which they came.
func numberHash[K ~uint64](k K) uint64 { return mix(uint64(k)) }

func numberRow[K ~uint64](dst []byte, k K) []byte { return be64(dst, uint64(k)) }
