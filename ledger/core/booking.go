package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// booking is one appointment (预约).
type booking struct {
	no       ledgerapi.BookingNo
	person   si.PersonNo
	next     uint32
	slot     slotKey
	capacity uint16 // of the slot when it was taken
	service  uint8
	state    ledgerapi.BookingState
}

// slotKey is a place in an office's day.
type slotKey struct {
	office officeCode
	date   si.BusinessDate
	minute uint16
}

func bookingFields(f *wire.Form, b *booking) {
	wire.U64(f, &b.no)
	wire.U32(f, &b.person)
	b.slot.office.field(f)
	wire.U16(f, &b.slot.date)
	wire.U16(f, &b.slot.minute)
	wire.U16(f, &b.capacity)
	wire.U8(f, &b.service)
	wire.U8(f, &b.state)
}

// bookingShelf are the appointments and how many stand in each slot.
type bookingShelf struct {
	bookings   *shelf[ledgerapi.BookingNo, booking]
	bookingsOf *thread
	taken      map[slotKey]uint16
}

func (m *Machine) shelveBookings() {
	m.taken = map[slotKey]uint16{}
	m.bookings = shelve(m, classBooking, BucketBooking, numberHash[ledgerapi.BookingNo],
		func(b *booking) ledgerapi.BookingNo { return b.no }, numberRow[ledgerapi.BookingNo], bookingFields)
	m.bookingsOf = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		b := m.bookings.at(slot)
		return b.person, &b.next
	})
	m.bookings.placed = func(slot uint32, b *booking) {
		m.bookingsOf.put(slot)
		if b.state == ledgerapi.BookingTaken {
			m.taken[b.slot]++
		}
	}
}

// maxBookDays is how far ahead an appointment may lie: a quarter of a year, more
// than any office plans.
const maxBookDays = 92

const minutesPerDay = 24 * 60

func (m *Machine) applyBook(c *ledgerapi.Book, out *ledgerapi.Result) {
	if c.Office == "" || c.Minute >= minutesPerDay || c.Capacity == 0 || c.Date < m.today() || int(c.Date) > int(m.today())+maxBookDays {
		refuse(out, ledgerapi.Malformed)
	}
	if m.personOf(c.Person) == nil {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	key := slotKey{officeOf(c.Office), c.Date, c.Minute}
	for _, slot := range m.bookingsOf.slots(c.Person) {
		if b := m.bookings.at(slot); b.slot == key && b.state == ledgerapi.BookingTaken {
			*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, No: uint64(b.no), Person: c.Person}
			return
		}
	}
	if m.taken[key] >= c.Capacity {
		refuse(out, ledgerapi.BadTransition)
		return
	}
	no := ledgerapi.BookingNo(m.bookings.used) + 1
	m.bookings.add(booking{no: no, person: c.Person, slot: key, capacity: c.Capacity, service: c.Service, state: ledgerapi.BookingTaken})
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(no), Person: c.Person}
}

func (m *Machine) applyCancelBooking(c *ledgerapi.CancelBooking, out *ledgerapi.Result) {
	b := m.bookings.get(c.Booking)
	switch {
	case b == nil:
		refuse(out, ledgerapi.NotFound)
		return
	case b.state == ledgerapi.BookingCancelled:
		*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, No: uint64(b.no), Person: b.person}
		return
	case b.slot.date < m.today():
		refuse(out, ledgerapi.BadTransition) // it has been
		return
	}
	b = m.bookings.change(c.Booking)
	b.state = ledgerapi.BookingCancelled
	m.taken[b.slot]--
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(b.no), Person: b.person}
}
