package world

import (
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

// agenda is a heap of jobs, the first of them at its root. It is not that of
// container/heap, which would allocate for each job.
type agenda []job

func (j *job) before(o *job) bool { return j.at < o.at || (j.at == o.at && j.seq < o.seq) }

func (a *agenda) push(x job) {
	q := append(*a, x)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !x.before(&q[up]) {
			break
		}
		q[i], i = q[up], up
	}
	q[i] = x
	*a = q
}

// pop takes the first job off an agenda that is not empty.
func (a *agenda) pop() job {
	q := *a
	first, x := q[0], q[len(q)-1]
	q[len(q)-1] = job{}
	q = q[:len(q)-1]
	for i := 0; len(q) > 0; {
		down := 2*i + 1
		if down+1 < len(q) && q[down+1].before(&q[down]) {
			down++
		}
		if down >= len(q) || !q[down].before(&x) {
			q[i] = x
			break
		}
		q[i], i = q[down], down
	}
	*a = q
	return first
}

func newKernel() *kernel { return &kernel{sum: sha256.New()} }

// after has do called when d has passed.
func (k *kernel) after(d time.Duration, do func()) { k.at(k.now+max(d, 0), do) }

// at has do called at a moment, or at once if it has passed.
func (k *kernel) at(at time.Duration, do func()) {
	k.seq++
	k.queue.push(job{max(at, k.now), k.seq, do})
}

// run lets time pass until a moment. Events of that very moment happen.
func (k *kernel) run(until time.Duration) {
	for len(k.queue) > 0 && k.queue[0].at <= until {
		j := k.queue.pop()
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
