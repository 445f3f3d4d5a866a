package bankmsg

import "testing"

// Library gives moov-io/iso8583 with the profile's specification, as a judge of
// frames: whether it reads the body of one.
func Library(t testing.TB, c *Codec) func(frame []byte) bool {
	o := newOracle(t, c)
	return func(frame []byte) bool {
		_, err := o.unpack(frame[c.bodyAt():])
		return err == nil
	}
}
