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

// The message and tags of a CUPS bank that wants to know what issuer scripts did.
const (
	scriptMessage = `
  script_notify:
    request:
      mti: "0620"
      repeat: "0621"
      network: ["951"]
      mandatory: [2, 4, 7, 11, 12, 13, 18, 22, 32, 33, 37, 39, 41, 42, 43, 49, 55, 60, 70, 90, 128]
      optional: [23]
      fixed: {18: "9399", 22: "051", 43: "SHEBAO SOCIAL INSURANCE HUB             ", 49: "156", 60: "0000050014"}
    reply:
      mti: "0630"
      network: ["951"]
      mandatory: [7, 11, 32, 33, 39, 41, 42, 70]
      optional: [2, 12, 13, 15, 23, 25, 38, 49, 55, 57, 60, 90, 100, 128]
`
	scriptTags = `
  script: ["95", "9F1E", "9F10", "9F36", "DF31"]
`
)

// ScriptTold gives the rules file of a CUPS demo bank with script notices, for
// tests and the simulated world: none of the four takes any.
func ScriptTold(rules []byte) []byte {
	out := bytes.Replace(rules, []byte("\nmessages:\n"), []byte("\nmessages:"+scriptMessage), 1)
	return bytes.Replace(out, []byte("\nde55:\n"), []byte("\nde55:"+scriptTags), 1)
}

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
