package bankfile

import "github.com/shebao-pay/shebao/si"

// tally is what the rows of a file come to while they are read.
type tally struct {
	rows    int
	p, r, f si.Fen
	net     si.Fen
	items   [len(items)]item // of a totals file
	account struct {         // of an account file: the account whose lines are open
		name    [32]byte
		open    bool
		balance si.Fen
	}
}

// item is what a totals file says of one kind of business: the whole, and its
// parts by fund and by batch.
type item struct{ whole, funds, batches part }

type part struct {
	seen  bool
	count uint64
	sum   si.Fen
}

// sumLimit bounds every sum: sumDigits digits.
const sumLimit = 999_999_999_999_999_999

// inRange tells whether the sums can still stand in a file. Each row adds at
// most sumLimit, so no sum has wrapped when it is asked after each.
func (t *tally) inRange() bool {
	return t.p <= sumLimit && t.r <= sumLimit && t.f <= sumLimit && t.net <= sumLimit && t.net >= -sumLimit
}

func (p *part) add(count uint64, sum si.Fen) bool {
	p.seen, p.count, p.sum = true, p.count+count, p.sum+sum
	return p.sum <= sumLimit
}

// done says which parts of a file do not come to their whole.
func (t *tally) done() string {
	if t.account.open {
		return "an account has no closing line"
	}
	for _, i := range t.items {
		for _, p := range []part{i.funds, i.batches} {
			if p.seen && (!i.whole.seen || p.count != i.whole.count || p.sum != i.whole.sum) {
				return "the parts of an item do not come to its whole"
			}
		}
	}
	return ""
}
