package ledgerapi

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentedBytes holds docs/format/ledger-log.md to the code: its worked
// example, the sizes and the type of every command.
func TestDocumentedBytes(t *testing.T) {
	b, err := os.ReadFile("../../docs/format/ledger-log.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	rec := AppendRecord(nil, Header{AtMillis: 0x030405060708, Actor: 42}, Unpost{ID: testID, Reason: UnpostARPC})
	if flat := strings.ReplaceAll(doc, " ", ""); !strings.Contains(flat, "\n"+hex.EncodeToString(rec)+"\n") {
		t.Errorf("the worked example is not %x", rec)
	}
	for _, want := range []string{
		fmt.Sprintf("One result per record, %d bytes each", ResultSize),
		fmt.Sprintf("late fee i64 (%d bytes)", dueRefSize),
		grouped(MaxRecord-HeaderSize) + " bytes (a record is at most " + grouped(MaxRecord) + ")",
		"memo str32 ≤ " + grouped(MaxMemo), "sealed str32 ≤ " + grouped(MaxSealed), "body str32 ≤ " + grouped(MaxConfig),
		fmt.Sprintf("count u32 ≤ %d", MaxDues), "count u32 ≤ " + grouped(MaxAssess),
		fmt.Sprintf("host serial str16 ≤ %d", MaxSerial), fmt.Sprintf("name str16 ≤ %d", MaxName), fmt.Sprintf("outlet str16 ≤ %d", MaxOutlet),
		grouped(0x030405060708) + " ms by actor 42",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("ledger-log.md does not say %q", want)
		}
	}
	for _, c := range samples() {
		name := strings.TrimPrefix(fmt.Sprintf("%T", c), "ledgerapi.")
		if act, ok := c.(Act); ok {
			name = strings.TrimPrefix(fmt.Sprintf("%T", act.Do), "*ledgerapi.")
		}
		if row := fmt.Sprintf("\n| %d | %s |", c.Type(), name); !strings.Contains(doc, row) {
			t.Errorf("ledger-log.md has no row %q", strings.TrimSpace(row))
		}
	}
}

// grouped writes a number with commas.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
