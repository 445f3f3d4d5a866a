package world

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"time"
)

// kernel is virtual time: what is to happen, in the order of moment and
// arrival. It runs in one goroutine and never waits.
type kernel struct {
	now   time.Duration // since the world began
	queue agenda
	seq   uint64
	sum   hash.Hash // over every event so far
	mark  [17]byte
	steps uint64
}

// job is one thing that is to happen.
type job struct {
	at  time.Duration
	seq uint64
	do  func()
}

type agenda []job

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || (a[i].at == a[j].at && a[i].seq < a[j].seq)
}
func (a *agenda) Push(x any) { *a = append(*a, x.(job)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	old[len(old)-1] = job{}
	*a = old[:len(old)-1]
	return x
}

func newKernel() *kernel { return &kernel{sum: sha256.New()} }

// after has do called when d has passed.
func (k *kernel) after(d time.Duration, do func()) { k.at(k.now+max(d, 0), do) }

// at has do called at a moment, or at once if it has passed.
func (k *kernel) at(at time.Duration, do func()) {
	k.seq++
	heap.Push(&k.queue, job{max(at, k.now), k.seq, do})
}

// run lets time pass until a moment. Events of that very moment happen.
func (k *kernel) run(until time.Duration) {
	for len(k.queue) > 0 && k.queue[0].at <= until {
		j := heap.Pop(&k.queue).(job)
		k.now = j.at
		k.steps++
		j.do()
	}
	k.now = max(k.now, until)
}

// note puts an event into the hash: what happened, to whom, with what result.
func (k *kernel) note(what byte, who, result uint64) {
	k.mark[0] = what
	binary.LittleEndian.PutUint64(k.mark[1:], who)
	binary.LittleEndian.PutUint64(k.mark[9:], result^uint64(k.now))
	_, _ = k.sum.Write(k.mark[:])
}

// The streams of chance, one for each part of the world, so that another draw
// in one does not move the others.
const (
	streamPlan = iota + 1
	streamNet
	streamLog
	streamHub
	streamBank
	streamCitizen
	streamCounter
	streamClock
)

// dice is one stream of chance.
type dice struct{ *rand.Rand }

func newDice(seed uint64, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

// luck is true with a probability of ppm in a million. Nothing is drawn where
// it cannot be true.
func (d dice) luck(ppm int) bool { return ppm > 0 && d.IntN(million) < ppm }

const million = 1_000_000

// between is a duration from a up to b.
func (d dice) between(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return a + time.Duration(d.Int64N(int64(b-a)))
}

// tail is a latency around typ with a long tail: mostly about typ, sometimes
// many times as much.
func (d dice) tail(typ time.Duration) time.Duration {
	x := d.between(typ/2, 2*typ)
	for d.IntN(8) == 0 {
		x *= 2
	}
	return x
}
