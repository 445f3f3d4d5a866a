package kiosk

import (
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// sample is a screen as a flow would show it; its people and numbers are
// fictional.
type sample struct {
	name   string // file name of the picture; the screen's id and a variant
	screen flow.Screen
}

var sampleLines = []flow.Line{
	{ID: "1", Fund: "PENSION_RES", Period: "2025", Kind: "ARREARS", Amount: 100000, LateFee: 1200, Chosen: true, Payable: true},
	{ID: "2", Fund: "PENSION_RES", Period: "2026", Kind: "YEAR", Amount: 100000, Chosen: true, Payable: true},
	{ID: "3", Fund: "MED_RES", Period: "2026-11", Kind: "CURRENT", Amount: 48000, Payable: true, Why: "HELD", Disabled: true},
	{ID: "4", Fund: "MED_RES", Period: "2026-12", Kind: "CURRENT", Amount: 48000, Payable: true, Why: "OLDER_FIRST", Disabled: true},
	{ID: "5", Fund: "PENSION_EMP", Period: "2026-10", Kind: "BACKPAY", Amount: 123456, Payable: false, Why: "NO_BENEFICIARY", Disabled: true},
	{ID: "6", Fund: "MED_RES", Period: "2027", Kind: "YEAR", Amount: 52000, Payable: true},
	{ID: "7", Fund: "UNEMP", Period: "2026-10", Kind: "SUPPLEMENT", Amount: 990, Payable: true},
}

var sampleReceipt = flow.ReceiptView{No: "33011026112200000017", Time: "2026-11-22 10:32:05", Total: 201200,
	CardTail: "0304", Bank: "示例农商银行", Channel: "TERMINAL", Lines: sampleLines[:2]}

// base is what is the same on every screen of a session.
func base(id flow.ScreenID, acts ...flow.Action) flow.Screen {
	return flow.Screen{ID: id, Step: 7, Lang: "zh", Demo: true, Region: "示范区社会保险", Hotline: "12333",
		Actions: append([]flow.Action{flow.ActLanguage, flow.ActLarge}, acts...),
		Name:    "李*明", IDTail: "1234", Area: "示范区（330110）", Bank: "示例农商银行", BankPhone: "96596", CardTail: "0304", TriesLeft: -1}
}

// with changes a copy of s.
func with(s flow.Screen, change func(*flow.Screen)) flow.Screen {
	change(&s)
	return s
}

// samples shows every declared screen at least once, with the fullest data it
// can have.
func samples() []sample {
	const help, exit, back, menu = flow.ActHelp, flow.ActExit, flow.ActBack, flow.ActMenu
	receipts := make([]flow.ReceiptView, 6)
	for i := range receipts {
		receipts[i] = sampleReceipt
		receipts[i].No = si.ReceiptNo{Area: 330110, Date: 9821, Seq: uint32(17 + i)}.String()
	}
	receipts[1].Channel, receipts[2].Channel, receipts[3].Total = "COUNTER", "EBANK", 12345678
	list := base(flow.ScreenPayList, flow.ActToggle, flow.ActAll, flow.ActPage, flow.ActNext, back, help, exit)
	list.Lines, list.Total, list.Chosen = sampleLines, 201200, 2
	confirm := base(flow.ScreenPayConfirm, flow.ActConfirm, back, help, exit)
	confirm.Lines, confirm.Total, confirm.Chosen, confirm.NoPaper = sampleLines[:2], 201200, 2, true
	paid := base(flow.ScreenPaid, flow.ActNext, menu, help, exit)
	paid.Total, paid.Receipt = 201200, &sampleReceipt
	no := base(flow.ScreenNotCharged, flow.ActRetry, menu, back, help, exit)
	no.Total, no.Reason, no.Incident = 201200, "FUNDS", "7K3P-22"
	wait := base(flow.ScreenPending, flow.ActPrint, menu, help, exit)
	wait.Total, wait.Payment = 201200, "0193a1b2c3d4e5f60718293a4b5c6d7e"
	before := base(flow.ScreenUnresolved, flow.ActNext, help, exit)
	before.Total = 201200
	return []sample{
		{"attract", base(flow.ScreenAttract)},
		{"out-of-service", with(base(flow.ScreenOutOfService), func(s *flow.Screen) { s.Problem = "HUB" })},
		{"reading", base(flow.ScreenReading, exit)},
		{"card-problem", with(base(flow.ScreenCardProblem, help, exit), func(s *flow.Screen) { s.Problem = "TWO_PEOPLE" })},
		{"pin", with(base(flow.ScreenPIN, exit), func(s *flow.Screen) { s.Keys = 4 })},
		{"pin-checking", base(flow.ScreenPINChecking)},
		{"pin-wrong", with(base(flow.ScreenPINWrong, flow.ActRetry, help, exit), func(s *flow.Screen) { s.TriesLeft = 1 })},
		{"bank-away", base(flow.ScreenBankAway, flow.ActRetry, help, exit)},
		{"menu", with(base(flow.ScreenMenu, flow.ActPay, flow.ActReceipts, help, exit), func(s *flow.Screen) { s.Unpaid, s.UnpaidSum, s.NoPaper = 3, 253200, true })},
		{"menu-grey", with(base(flow.ScreenMenu, flow.ActReceipts, help, exit), func(s *flow.Screen) { s.Disabled = []flow.Action{flow.ActPay} })},
		{"unresolved-paid", with(before, func(s *flow.Screen) { s.Problem, s.Receipt = "POSTED", &sampleReceipt })},
		{"unresolved-back", with(before, func(s *flow.Screen) { s.Problem, s.Reason = "NOT_CHARGED", "REVERSED" })},
		{"unresolved-wait", with(before, func(s *flow.Screen) { s.Problem, s.Payment = "PENDING", wait.Payment })},
		{"pay-list", list},
		{"pay-empty", base(flow.ScreenPayEmpty, back, help, exit)},
		{"pay-confirm", confirm},
		{"pay-pin", with(base(flow.ScreenPayPIN, back, exit), func(s *flow.Screen) { s.Total, s.Keys = 201200, 2 })},
		{"working", with(base(flow.ScreenWorking), func(s *flow.Screen) { s.WorkStep, s.Total = 2, 201200 })},
		{"working-look", base(flow.ScreenWorking, exit)},
		{"result-paid", paid},
		{"result-not-charged", no},
		{"result-pending", wait},
		{"receipts", with(base(flow.ScreenReceipts, flow.ActReprint, flow.ActPage, back, help, exit), func(s *flow.Screen) { s.Receipts = receipts })},
		{"receipt-choice", with(base(flow.ScreenReceiptChoice, flow.ActPrint, flow.ActShowQR, flow.ActNoReceipt, help, exit), func(s *flow.Screen) { s.Receipt = &sampleReceipt })},
		{"receipt-choice-no-paper", with(base(flow.ScreenReceiptChoice, flow.ActShowQR, flow.ActNoReceipt, help, exit), func(s *flow.Screen) {
			s.Receipt, s.NoPaper, s.Disabled = &sampleReceipt, true, []flow.Action{flow.ActPrint}
		})},
		{"printing", with(base(flow.ScreenPrinting), func(s *flow.Screen) { s.Receipt = &sampleReceipt })},
		{"printed", base(flow.ScreenPrinted, menu, help, exit)},
		{"printed-sent", with(base(flow.ScreenPrinted, menu, help, exit), func(s *flow.Screen) { s.Printer = flow.PrinterSent })},
		{"printer-fault", with(base(flow.ScreenPrinterFault, flow.ActRetry, flow.ActShowQR, menu, help, exit), func(s *flow.Screen) { s.Printer = "paper" })},
		{"receipt-qr", with(base(flow.ScreenReceiptQR, back, menu, help, exit), func(s *flow.Screen) {
			s.QR, s.Receipt = "SHEBAO RECEIPT 33011026112200000017 2012.00 0193a1b2c3d4e5f60718293a4b5c6d7e", &sampleReceipt
		})},
		{"help", base(flow.ScreenHelp, back, exit)},
		{"idle-warning", with(base(flow.ScreenIdleWarning, flow.ActContinue, exit), func(s *flow.Screen) { s.Seconds = 18 })},
		{"cannot-show", base(flow.ScreenCannotShow, flow.ActRetry, menu, help, exit)},
		{"take-card", with(base(flow.ScreenTakeCard), func(s *flow.Screen) { s.Seconds = 24 })},
		{"card-retained", base(flow.ScreenCardRetained)},
	}
}

// in gives the sample in a language and type size, as the flow would.
func (s sample) in(lang string, large bool) flow.Screen {
	sc := s.screen
	sc.Lang, sc.Large = lang, large
	sc.Lines = slices.Clone(sc.Lines)
	if lang == "en" && sc.Bank != "" {
		sc.Bank = "Example Rural Commercial Bank"
	}
	return sc
}
