package evening

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Plan says what a day is. The same plan is the same day.
type Plan struct {
	Seed   uint64
	Lines  int    // payments; each source has about so many rows
	Breaks int    // planted, of every class in turn, at most half of Lines
	Date   string // of the bank, such as 20261129
	// CutMillis is when the date was cut: everything else was over an hour before.
	CutMillis int64
}

// Line is a detail line of the bank's file.
type Line struct {
	Type      byte // P, R or F
	Serial    string
	RRN       string
	STAN      int
	DE41      string
	Amount    int64 // fen
	Reference string
	Alias     string
	Original  string
}

// Ledger is what the ledger holds of a payment.
type Ledger struct {
	State     string // POSTED, RESERVED, REVERSING or VOIDED
	Carried   bool
	Terminal  uint32 // 0 for a counter
	NextDay   bool   // the bank has said that it books on the next date
	Serial    string // of the bank, where it is known
	RRN       string
	STAN      int
	DE41      string
	Amount    int64
	EndMillis int64 // 0 while it is alive
	Reference string
	Alias     string
}

// Terminal is what a terminal's journal holds of a payment.
type Terminal struct {
	State  string // OK, REV or UNK
	Amount int64
}

// Payment is one payment, in each source that has it.
type Payment struct {
	N        int    // it names the payment everywhere
	Truth    string // what the match must find: a class such as B05, or MATCHED, CARRY, …
	Bank     []Line
	Ledger   *Ledger
	Terminal *Terminal
	// Of the terminal, also where the ledger has nothing.
	Trace Line
}

// Classes are the breaks that can be planted: all but B24, a debit that is a
// credit, with which a file of details is not taken at all.
var Classes = []string{
	"B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B13", "B14", "B20", "B21", "B22", "B23", "B25",
}

// calm are the verdicts of payments without a break, the common ones first, with
// how many of a thousand they are.
var calm = []struct {
	truth string
	of    int
}{
	{"MATCHED", 960}, {"MATCHED_REVERSED", 12}, {"MATCHED_NONE", 8}, {"MATCHED T_UNAWARE", 6}, {"CARRY", 6}, {"POST_BY_FILE", 4}, {"VOID_BY_FILE", 4},
}

// Terminals is how many terminals stand in the district.
const Terminals = 400

// Truths draws what each payment of a plan is.
func (p Plan) Truths() ([]string, error) {
	if p.Lines < 1 || p.Breaks < 0 || p.Breaks > p.Lines/2 {
		return nil, fmt.Errorf("evening: %d breaks in %d lines; at most half", p.Breaks, p.Lines)
	}
	r := rand.New(rand.NewPCG(p.Seed, 0))
	out := make([]string, p.Lines)
	for i := range p.Breaks {
		at := r.IntN(p.Lines)
		for out[at] != "" {
			at = r.IntN(p.Lines)
		}
		out[at] = Classes[i%len(Classes)]
	}
	for i := range out {
		if out[i] == "" {
			n, at := r.IntN(1000), 0
			for n >= calm[at].of {
				n -= calm[at].of
				at++
			}
			out[i] = calm[at].truth
		}
	}
	return out, nil
}

// second is added to the number of a further line of a payment.
const second = 1_000_000_000

func serial(n int) string { return fmt.Sprintf("H%013d", n) }

// make builds payment n. Its random numbers are its own, so that a payment is
// the same in whatever order they are made.
func (p Plan) make(n int, truth string) Payment {
	r := rand.New(rand.NewPCG(p.Seed, uint64(n)+1)) // #nosec G115 -- not negative
	amount := int64(1 + r.IntN(400_000))
	terminal := uint32(n%Terminals) + 1 // #nosec G115 -- a terminal number
	paid := Line{Type: 'P', Serial: serial(n), RRN: fmt.Sprintf("%012d", n), STAN: n % 1_000_000, DE41: fmt.Sprintf("T%07d", terminal),
		Amount: amount, Reference: fmt.Sprintf("PAY%09d", n), Alias: "SB330110"}
	back := paid
	back.Type, back.Serial, back.Original = 'R', serial(n+second), paid.Serial
	ended := p.CutMillis - 3_600_000 - int64(n)
	ledger := &Ledger{State: "POSTED", Terminal: terminal, RRN: paid.RRN, STAN: paid.STAN, DE41: paid.DE41, Amount: amount, EndMillis: ended,
		Reference: paid.Reference, Alias: paid.Alias}
	out := Payment{N: n, Truth: truth, Bank: []Line{paid}, Ledger: ledger, Terminal: &Terminal{"OK", amount}, Trace: paid}
	alive := func(state string) { ledger.State, ledger.EndMillis, out.Terminal.State = state, 0, "UNK" }
	odd := r.IntN(2) == 0
	switch truth {
	case "MATCHED":
		if n%3 == 0 { // at a counter: the bank's own number names it
			ledger.RRN, ledger.STAN, ledger.DE41, ledger.Serial, ledger.Terminal, out.Terminal = "", 0, "", paid.Serial, 0, nil
		}
	case "MATCHED_REVERSED":
		ledger.State, out.Terminal.State, out.Bank = "VOIDED", "REV", []Line{paid, back}
	case "MATCHED_NONE":
		ledger.State, out.Terminal.State, out.Bank = "VOIDED", "REV", nil
	case "MATCHED T_UNAWARE":
		out.Terminal.State = "UNK"
	case "CARRY":
		ledger.EndMillis, out.Bank = p.CutMillis-1, nil
	case "POST_BY_FILE":
		alive("RESERVED")
	case "VOID_BY_FILE":
		alive("REVERSING")
		out.Bank = []Line{paid, back}
	case "B01":
		if out.Terminal.State = "REV"; odd {
			*out.Terminal = Terminal{"OK", amount + 1}
		}
	case "B02":
		out.Terminal = nil
	case "B03":
		alive("REVERSING")
	case "B04":
		ledger.State, out.Terminal.State = "VOIDED", "REV"
	case "B05":
		out.Ledger = nil
	case "B06":
		out.Ledger, out.Terminal = nil, nil
	case "B07":
		out.Bank = []Line{paid, back}
	case "B08":
		out.Bank, out.Ledger, out.Terminal = []Line{paid, back}, nil, nil
	case "B09":
		out.Bank = []Line{back}
	case "B10":
		out.Bank, out.Ledger, out.Terminal = []Line{back}, nil, nil
	case "B11":
		if out.Bank = nil; odd {
			ledger.Carried, ledger.EndMillis = true, p.CutMillis
		}
	case "B12":
		if out.Bank = nil; odd {
			out.Terminal = nil
		} else {
			out.Terminal.State = "REV"
		}
	case "B13":
		alive("RESERVED")
		ledger.Carried, out.Bank = true, nil
	case "B14":
		if out.Bank = nil; odd {
			out.Ledger = nil
		} else {
			ledger.State = "VOIDED"
		}
	case "B20":
		out.Bank[0].Amount++
	case "B21":
		ledger.NextDay = true
	case "B22":
		out.Bank[0].Alias = "SB330109"
	case "B23":
		out.Bank[0].Reference = "PAY-OF-ANOTHER"
	case "B25":
		twice := paid
		twice.Serial = serial(n + 2*second)
		out.Bank = append(out.Bank, twice)
	}
	return out
}

// Payments hands each payment of a plan to each, in an order that is not that of
// their numbers.
func (p Plan) Payments(truths []string, each func(Payment) error) error {
	order := make([]int, len(truths))
	for i := range order {
		order[i] = i
	}
	r := rand.New(rand.NewPCG(p.Seed, 1<<40))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, n := range order {
		if err := each(p.make(n, truths[n])); err != nil {
			return err
		}
	}
	return nil
}

// Number is which payment a serial of the bank belongs to; -1 for none.
func Number(serial string) int {
	var n int
	if _, err := fmt.Sscanf(serial, "H%d", &n); err != nil {
		return -1
	}
	return n % second
}

// IsBreak tells that a truth is a class of breaks.
func IsBreak(truth string) bool { return slices.Contains(Classes, truth) }
