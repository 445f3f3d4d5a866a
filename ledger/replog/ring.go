package replog

import "github.com/hashicorp/raft"

// ring keeps the newest entries for GetLog. Their data is shared with whoever
// appended them and must not be changed.
type ring struct {
	entries []raft.Log
	head    int // of the oldest
	n       int
	bytes   int
}

func (r *ring) at(i int) *raft.Log { return &r.entries[(r.head+i)%len(r.entries)] }

// add takes the entry that follows the newest.
func (r *ring) add(l raft.Log) {
	if r.entries == nil {
		r.entries = make([]raft.Log, cacheEntries)
	}
	if r.n > 0 && r.at(r.n-1).Index+1 != l.Index {
		r.cut(0)
	}
	if r.n == len(r.entries) {
		r.drop()
	}
	*r.at(r.n) = l
	r.n++
	r.bytes += len(l.Data)
	for r.bytes > cacheBytes && r.n > 1 {
		r.drop()
	}
}

// drop forgets the oldest entry.
func (r *ring) drop() {
	e := r.at(0)
	r.bytes -= len(e.Data)
	*e = raft.Log{}
	r.head = (r.head + 1) % len(r.entries)
	r.n--
}

// cut forgets the entries from index on.
func (r *ring) cut(index uint64) {
	for r.n > 0 && r.at(r.n-1).Index >= index {
		e := r.at(r.n - 1)
		r.bytes -= len(e.Data)
		*e = raft.Log{}
		r.n--
	}
}

func (r *ring) get(index uint64, l *raft.Log) bool {
	if r.n == 0 || index < r.at(0).Index || index > r.at(r.n-1).Index {
		return false
	}
	*l = *r.at(int(index - r.at(0).Index))
	return true
}
