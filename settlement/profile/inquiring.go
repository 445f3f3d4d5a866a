package profile

import (
	"bytes"
	"fmt"
)

// The message of a bank that takes status inquiries, by dialect.
const (
	inquiryPOS = `
  status_inquiry:
    request:
      mti: "0200"
      proc: "340000"
      function: "01"
      network: ["000"]
      tail: "500"
      mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 61, 64]
      fixed: {49: "156"}
    reply:
      mti: "0210"
      proc: "340000"
      function: "01"
      network: ["000"]
      mandatory: [3, 4, 11, 39, 41, 42, 49, 60, 61]
      optional: [2, 12, 13, 15, 32, 37, 38, 64]
`
	inquiryCUPS = `
  status_inquiry:
    request:
      mti: "0200"
      proc: "340000"
      mandatory: [2, 3, 4, 7, 11, 12, 13, 32, 33, 37, 41, 42, 49, 90, 128]
      fixed: {49: "156"}
    reply:
      mti: "0210"
      proc: "340000"
      mandatory: [3, 4, 7, 11, 32, 33, 39, 41, 42, 49, 90]
      optional: [2, 12, 13, 15, 37, 38, 128]
`
)

// Inquiring gives the rules file of a demo bank with status inquiries, for tests
// and the simulated world: none of the four takes any. proof says whether
// "declined" and "not known" end a payment.
func Inquiring(rules []byte, proof bool) []byte {
	message := inquiryPOS
	if bytes.Contains(rules, []byte("dialect: cups")) {
		message = inquiryCUPS
	}
	out := bytes.Replace(rules, []byte("\nmessages:\n"), []byte("\nmessages:"+message), 1)
	out = bytes.Replace(out, []byte("\nreversal:\n"), fmt.Appendf(nil, "\nreversal:\n  inquire_first: true\n  inquiry_is_proof: %t\n", proof), 1)
	return bytes.Replace(out, []byte("\ntimers:\n"), []byte("\ntimers:\n  inquiry: 10s\n"), 1)
}
