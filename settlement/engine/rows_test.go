package engine

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rows says where each row of the failure table in docs/spec/payment-states.md is
// tested: files from the root of the repository, and names of test functions or of
// faults that `simulate play` plays with the real programs.
var rows = map[string][][2]string{
	"F1":  {{"settlement/engine/failure_test.go", "TestF1RequestLost"}, {"settlement/inquiry_test.go", "TestInquiry"}, {"simulators/stage/faults.go", "bank-silent"}},
	"F2":  {{"settlement/engine/failure_test.go", "TestF2LinkDownBeforeAnyByte"}, {"simulators/stage/faults.go", "link-down"}},
	"F3":  {{"settlement/engine/failure_test.go", "TestF3ReplyLost"}, {"simulators/stage/faults.go", "reply-lost"}, {"simulators/stage/faults.go", "bank-hangs-up"}, {"simulators/stage/faults.go", "bank-crashes"}},
	"F4":  {{"settlement/engine/failure_test.go", "TestF4LateApproval"}, {"simulators/stage/faults.go", "late-approval"}},
	"F5":  {{"settlement/engine/failure_test.go", "TestF5LateDecline"}, {"simulators/stage/faults.go", "late-decline"}},
	"F6":  {{"settlement/engine/failure_test.go", "TestF6BadReply"}, {"simulators/stage/faults.go", "bad-mac"}, {"simulators/stage/faults.go", "wrong-amount"}, {"simulators/stage/faults.go", "unknown-code"}, {"simulators/stage/faults.go", "garbage"}},
	"F7":  {{"settlement/engine/failure_test.go", "TestF7ThousandReversals"}, {"settlement/engine/failure_test.go", "TestF7OtherBank"}, {"simulators/stage/faults.go", "reversal-lost"}, {"simulators/stage/faults.go", "reversal-reply-lost"}},
	"F8":  {{"settlement/engine/failure_test.go", "TestF8ReversalOvertakes"}, {"ledger/core/payment_test.go", "TestReverseUnknown"}, {"simulators/stage/faults.go", "overtaken"}},
	"F9":  {{"settlement/engine/failure_test.go", "TestF9SameIDAgain"}, {"simulators/stage/faults.go", "double-tap"}, {"simulators/stage/faults.go", "duplicate-reply"}},
	"F10": {{"settlement/engine/failure_test.go", "TestF10SameDueTwice"}, {"simulators/stage/counter_test.go", "TestTwoAtOneDue"}, {"simulators/stage/faults.go", "counter-at-once"}},
	"F12": {{"settlement/engine/failure_test.go", "TestF12Restart"}, {"simulators/stage/faults.go", "hub-killed-after-send"}, {"simulators/stage/faults.go", "terminal-killed-after-send"}},
	"F13": {{"settlement/engine/failure_test.go", "TestF13DiesBetweenReplyAndPost"}, {"simulators/stage/faults.go", "hub-killed-before-post"}},
	"F14": {{"settlement/engine/failure_test.go", "TestF14LostAfterPost"}, {"simulators/stage/faults.go", "terminal-killed-after-paid"}},
	"F15": {{"settlement/engine/failure_test.go", "TestF15CommitFails"}, {"settlement/hub_test.go", "TestLogAway"}, {"ledger/node_test.go", "TestFullDisk"}, {"simulators/stage/quorum_test.go", "TestNoQuorumAfterDebit"}},
	"F16": {{"settlement/engine/failure_test.go", "TestF16PostRefused"}},
	"F18": {{"settlement/engine/failure_test.go", "TestF18Card"}, {"simulators/stage/faults.go", "card-pulled-after-approval"}, {"simulators/stage/faults.go", "card-refuses"}},
	"F19": {{"settlement/engine/failure_test.go", "TestF19Declined"}, {"simulators/stage/faults.go", "wrong-pin"}, {"simulators/stage/faults.go", "insufficient"}},
	"F20": {{"settlement/engine/failure_test.go", "TestF20CrossDay"}, {"simulators/stage/faults.go", "cutover"}},
	"F21": {{"settlement/engine/failure_test.go", "TestF21ClockJumps"}},
	"F22": {{"settlement/engine/failure_test.go", "TestF22NumbersRepeat"}},
	"F28": {{"ledger/node_test.go", "TestFullDisk"}, {"ledger/replog/crash_test.go", "TestStoreCrashes"}, {"simulators/stage/trouble_test.go", "TestDamagedLog"}},
	"F29": {{"settlement/engine/failure_test.go", "TestF29SendDeadline"}, {"settlement/engine/failure_test.go", "TestF29NewLeaderWaits"}},
	"F30": {{"settlement/engine/failure_test.go", "TestF30Bulkhead"}, {"settlement/banklink/link_test.go", "TestBreakerOfPool"}, {"simulators/stage/faults.go", "bank-slow"}},
	"F31": {{"settlement/engine/failure_test.go", "TestF31KeysChange"}, {"settlement/banklink/link_test.go", "TestKeyChangeInFlight"}, {"simulators/stage/faults.go", "keys-change"}},
}

// TestRows holds that every row of the document's failure table has tests that
// exist, and that no row is tested that the document does not have.
func TestRows(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "spec", "payment-states.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (F[0-9]+) \|`).FindAllStringSubmatch(string(doc), -1) {
		named[m[1]] = true
		if len(rows[m[1]]) == 0 {
			t.Errorf("row %s of the document has no test", m[1])
		}
	}
	for row, tests := range rows {
		if !named[row] {
			t.Errorf("row %s is not in the document", row)
		}
		for _, at := range tests {
			text, err := os.ReadFile(filepath.Join(root, at[0]))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "func "+at[1]+"(") && !strings.Contains(string(text), `Name: "`+at[1]+`", Row: "`+row+`"`) {
				t.Errorf("row %s: %s has no %s of that row", row, at[0], at[1])
			}
		}
	}
}
