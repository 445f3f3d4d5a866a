package core

import (
	"testing"

	"pgregory.net/rapid"
)

// TestTable plays a table of colliding hashes against a map.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := map[uint32]uint64{} // by slot
		spread := rapid.SampledFrom([]uint64{1, 7, 1 << 40}).Draw(t, "spread")
		x := newTable(func(k uint64) uint64 { return k % spread * 0x9e37 }, func(s uint32) uint64 { return keys[s] })
		slots := map[uint64]uint32{}
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			k := rapid.Uint64Range(0, 60).Draw(t, "key")
			slot, there := slots[k]
			switch {
			case there && rapid.Bool().Draw(t, "delete"):
				x.del(k, slot)
				delete(slots, k)
			case !there:
				slot = uint32(i + 1)
				keys[slot], slots[k] = k, slot
				x.put(k, slot)
			}
			for k := range uint64(61) {
				if got := x.get(k); got != slots[k] {
					t.Fatalf("get(%d) = %d, want %d", k, got, slots[k])
				}
			}
			if x.n != len(slots) {
				t.Fatalf("table counts %d keys, want %d", x.n, len(slots))
			}
		}
		x.del(99, 9999) // one that is not there
		if x.n != len(slots) {
			t.Fatal("deleting nothing changed the count")
		}
	})
}

// TestRuns plays runs of bytes against copies of them.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := runs[byte]{unit: 32}
		type kept struct {
			ref  uint32
			want []byte
		}
		var all []kept
		for i := range rapid.IntRange(1, 120).Draw(t, "steps") {
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "drop") == 0 {
				j := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				r.drop(all[j].ref, len(all[j].want))
				all = append(all[:j], all[j+1:]...)
				continue
			}
			n := rapid.SampledFrom([]int{1, 31, 32, 33, 64, 1024, 2048}).Draw(t, "n")
			ref, b := r.take(n)
			if ref == 0 || len(b) != n {
				t.Fatalf("take(%d) = %d, %d bytes", n, ref, len(b))
			}
			k := kept{ref, make([]byte, n)}
			for j := range b {
				b[j], k.want[j] = byte(i+j), byte(i+j)
			}
			all = append(all, k)
		}
		for _, k := range all {
			if string(r.get(k.ref, len(k.want))) != string(k.want) {
				t.Fatal("a run was overwritten")
			}
		}
	})
}

// TestRunsChunks crosses the end of a chunk.
func TestRunsChunks(t *testing.T) {
	r := runs[uint64]{unit: 1}
	seen := map[uint32]bool{}
	for range 3 * runsLen / 48 {
		ref, run := r.take(48)
		if seen[ref] || len(run) != 48 {
			t.Fatalf("take gave %d twice or %d values", ref, len(run))
		}
		seen[ref] = true
		run[0], run[47] = uint64(ref), uint64(ref)
	}
	for ref := range seen {
		if run := r.get(ref, 48); run[0] != uint64(ref) || run[47] != uint64(ref) {
			t.Fatalf("run %d was overwritten", ref)
		}
	}
}

func TestPool(t *testing.T) {
	var p pool[uint64]
	for i := range uint64(chunkLen + 10) {
		slot, x := p.take()
		if slot != uint32(i+1) || *x != 0 {
			t.Fatalf("take %d gave slot %d with %d", i, slot, *x)
		}
		*x = i
	}
	p.drop(5)
	if slot, x := p.take(); slot != 5 || *x != 0 {
		t.Errorf("after drop(5) take gave slot %d with %d", slot, *x)
	}
	if *p.at(chunkLen + 1) != chunkLen {
		t.Error("the first record of the second chunk is wrong")
	}
}
