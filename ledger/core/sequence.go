package core

import (
	"sort"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/planted"
)

// Bounds of the numbers we give. STAN: the top of the range is left to link
// management messages. RRN: the top is left to numbers given by hand.
const (
	lastSTAN = 899_999
	lastRRN  = 89_999_999
)

// maxAcquirers bounds the DE 41 values of all banks: an index of 16 bits.
const maxAcquirers = 1<<16 - 1

// nextSTAN is the acquirer's index and its next trace number: the one after the
// last, skipping any that a live payment has with the same DE 7. 0 is none left.
func (m *Machine) nextSTAN(b si.Bank, de41 [8]byte, de7 uint32) (acq uint16, stan uint32) {
	acq, known := m.acqByDE41[keyOfAcquirer(b, de41)]
	if !known {
		if len(m.acquirers) == maxAcquirers {
			return 0, 0
		}
		return uint16(len(m.acquirers)), 1
	}
	stan = m.acquirers[acq].stan
	for range lastSTAN {
		if planted.On(planted.TraceReused) {
			return acq, max(stan, 1)
		}
		if stan++; stan > lastSTAN {
			stan = 1
		}
		if m.byTrace.get(traceKey{acq, stan, de7}) == 0 {
			return acq, stan
		}
	}
	return acq, 0
}

// acquirer makes sure that the acquirer of an index from nextSTAN exists.
func (m *Machine) acquirer(acq uint16, b si.Bank, de41 [8]byte) uint16 {
	if int(acq) == len(m.acquirers) {
		m.acquirers = append(m.acquirers, acquirer{bank: b, de41: de41})
		m.acqByDE41[keyOfAcquirer(b, de41)] = acq
	}
	return acq
}

// de7 is DE 7 of the record at hand, MMDDhhmmss in China time, as a number.
func (m *Machine) de7() uint32 {
	if second := m.at / 1000; second != m.second {
		t := time.UnixMilli(m.at).In(si.China)
		m.second = second
		m.de7Then = uint32(((((int(t.Month())*100)+t.Day())*100+t.Hour())*100+t.Minute())*100 + t.Second())
	}
	return m.de7Then
}

func de7Text(n uint32) (t [10]byte) {
	if n == 0 {
		return t
	}
	for i := len(t) - 1; i >= 0; i-- {
		t[i] = byte('0' + n%10)
		n /= 10
	}
	return t
}

// parseDE7 takes ten digits that a uint32 can hold, or ten zero bytes.
func parseDE7(t [10]byte) (uint32, bool) {
	if t == [10]byte{} {
		return 0, true
	}
	n := uint64(0)
	for _, c := range t {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n > 0 && n <= 1_231_235_959
}

// rrnText is DE 37: last digit of the year, day of the year, sequence.
func rrnText(our si.BusinessDate, seq uint32) (t [12]byte) {
	year, start := yearOf(our)
	n := uint64(year%10)*100_000_000_000 + uint64(int(our)-start+1)*100_000_000 + uint64(seq)
	for i := len(t) - 1; i >= 0; i-- {
		t[i] = byte('0' + n%10)
		n /= 10
	}
	return t
}

// yearOf gives the year of a date and the date's number of its first day,
// without the cost of package time.
func yearOf(d si.BusinessDate) (year, start int) {
	year = 2000 + int(d)*400/146_097
	for {
		start = daysBefore(year)
		if start > int(d) {
			year--
			continue
		}
		if daysBefore(year+1) <= int(d) {
			year++
			continue
		}
		return year, start
	}
}

// daysBefore counts the days from 2000-01-01 to the first of a year from 2000 on.
func daysBefore(year int) int {
	n := year - 2000
	if n == 0 {
		return 0
	}
	return 365*n + 1 + (n-1)/4 - (n-1)/100 + (n-1)/400
}

// receiptDay gives the receipt sequence of a date.
func (m *Machine) receiptDay(date si.BusinessDate) *receiptDay {
	for i := len(m.receipts) - 1; i >= 0 && m.receipts[i].date >= date; i-- {
		if m.receipts[i].date == date {
			return m.receipts[i]
		}
	}
	r := &receiptDay{date: date}
	m.receipts = append(m.receipts, r)
	sort.Slice(m.receipts, func(i, j int) bool { return m.receipts[i].date < m.receipts[j].date })
	return r
}
