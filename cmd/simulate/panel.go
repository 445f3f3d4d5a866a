package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/panel"
	"github.com/shebao-pay/shebao/simulators/pinpad"
	"github.com/shebao-pay/shebao/simulators/printer"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// startPanel serves the hardware panel until ctx ends.
func startPanel(ctx context.Context, s *stage.Stage) error {
	kiosk, err := s.KioskURL()
	if err != nil {
		return err
	}
	hw := &hardware{stage: s, made: map[string]madeNotice{}, links: map[string]*bankhost.Counter{}, paid: map[string]bankhost.Payment{}, back: map[string]bankhost.Payment{}}
	if err := hw.notices(ctx); err != nil {
		return err
	}
	p, err := panel.New(panel.Config{
		Addr: s.PanelAddr(), KioskURL: kiosk, PadURL: s.PadURL(), PIN: stage.DemoPIN,
		Tray: hw, Faults: hw, Paper: hw, Counter: hw,
	})
	if err != nil {
		return err
	}
	s.Watch(func(stage.Event) { p.Changed() })
	l, err := net.Listen("tcp", s.PanelAddr())
	if err != nil {
		return fmt.Errorf("hardware panel: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Serve(ctx, l) // it ends with the demo
	}()
	s.OnStop(func() { cancel(); <-done; hw.hangUp() })
	return nil
}

// hardware ties the panel to what stands on the stage.
type hardware struct {
	stage *stage.Stage

	mu     sync.Mutex
	made   map[string]madeNotice
	order  []string
	links  map[string]*bankhost.Counter
	paid   map[string]bankhost.Payment // by bank and notice: paying again repeats the message
	back   map[string]bankhost.Payment // taken back: doing so again repeats the message
	pullOn bool
}

// madeNotice is a payment notice that a citizen could bring to the counter.
type madeNotice struct {
	text  string
	total si.Fen
}

// Cards are the tray.
func (h *hardware) Cards() []panel.Card {
	out := make([]panel.Card, len(h.stage.Cards))
	for i, c := range h.stage.Cards {
		out[i] = panel.Card{ID: c.ID, Name: c.Name, Bank: c.Bank, BankName: h.bankName(c.Bank), Tail: c.Tail, Story: c.Story, StoryEn: c.StoryEn}
	}
	return out
}

func (h *hardware) bankName(code string) string {
	if p, err := h.stage.Bank(code); err == nil {
		return p.Name
	}
	return code
}

// Inserted is the card in the slot.
func (h *hardware) Inserted() string { return h.stage.Inserted() }

// Insert puts a card in; one that is in comes out first.
func (h *hardware) Insert(_ context.Context, id string) error {
	c, err := stage.Find(h.stage.Cards, id)
	if err != nil {
		return err
	}
	if h.stage.Inserted() != "" {
		if err := h.stage.Pull(); err != nil {
			return err
		}
	}
	return h.stage.Insert(c)
}

// Pull takes the card out.
func (h *hardware) Pull(context.Context) error { return h.stage.Pull() }

// bankFaults happen to the next payment, whatever bank it goes to.
var bankFaults = []struct {
	panel.Fault
	does bankhost.Fault
}{
	{panel.Fault{ID: "silent", Label: "请求丢失", LabelEn: "request lost", Once: true}, bankhost.DropRequest},
	{panel.Fault{ID: "reply-lost", Label: "应答丢失", LabelEn: "reply lost", Once: true}, bankhost.DropReply},
	{panel.Fault{ID: "bad-mac", Label: "应答MAC错", LabelEn: "wrong MAC", Once: true}, bankhost.WrongMAC},
	{panel.Fault{ID: "declined", Label: "拒绝(05)", LabelEn: "declined (05)", Once: true}, bankhost.Decline("05")},
	{panel.Fault{ID: "funds", Label: "余额不足(51)", LabelEn: "no money (51)", Once: true}, bankhost.Decline("51")},
	{panel.Fault{ID: "hang-up", Label: "扣款后断线", LabelEn: "debits, hangs up", Once: true}, bankhost.CloseOnReply},
}

var printerFaults = []struct {
	panel.Fault
	is printer.Fault
}{
	{panel.Fault{ID: "low", Label: "纸将尽", LabelEn: "paper low"}, printer.PaperLow},
	{panel.Fault{ID: "out", Label: "缺纸", LabelEn: "paper out"}, printer.PaperOut},
	{panel.Fault{ID: "jam", Label: "卡纸", LabelEn: "jam"}, printer.Jam},
	{panel.Fault{ID: "offline", Label: "脱机", LabelEn: "offline"}, printer.Offline},
}

var padFaults = []struct {
	panel.Fault
	is pinpad.Fault
}{
	{panel.Fault{ID: "tamper", Label: "被拆动", LabelEn: "tampered"}, pinpad.Tamper},
	{panel.Fault{ID: "no-key", Label: "没有密钥", LabelEn: "no key"}, pinpad.NoKey},
	{panel.Fault{ID: "slow", Label: "很慢", LabelEn: "slow"}, pinpad.Slow},
}

// Groups are the switches as they stand.
func (h *hardware) Groups() []panel.FaultGroup {
	h.mu.Lock()
	pull := h.pullOn
	h.mu.Unlock()
	_, _, pad := h.stage.Pad.State()
	g := []panel.FaultGroup{
		{ID: "bank", Title: "银行（下一笔缴费）", TitleEn: "bank, next payment"},
		{ID: "card", Title: "卡", TitleEn: "card", Faults: []panel.Fault{{ID: "pull", Label: "缴费途中拔卡", LabelEn: "pulled while paying", On: pull}}},
		{ID: "printer", Title: "打印机", TitleEn: "printer"},
		{ID: "pad", Title: "密码键盘", TitleEn: "PIN pad"},
		{ID: "hub", Title: "社保中心", TitleEn: "hub", Faults: []panel.Fault{{ID: "kill", Label: "断电重启", LabelEn: "power cut and restart", Once: true}}},
	}
	for _, f := range bankFaults {
		g[0].Faults = append(g[0].Faults, f.Fault)
	}
	for _, f := range printerFaults {
		f.On = h.stage.Printer.Fault() == f.is
		g[2].Faults = append(g[2].Faults, f.Fault)
	}
	for _, f := range padFaults {
		f.On = pad == f.is
		g[3].Faults = append(g[3].Faults, f.Fault)
	}
	return g
}

// Set switches one fault.
func (h *hardware) Set(ctx context.Context, group, fault string, on bool) error {
	switch group {
	case "bank":
		for _, f := range bankFaults {
			if f.ID == fault {
				for _, host := range h.stage.Banks {
					host.SetFaultFor(profile.Debit, f.does, 1)
				}
				return nil
			}
		}
	case "card":
		h.pullWhilePaying(on)
		return nil
	case "printer":
		for _, f := range printerFaults {
			if f.ID == fault {
				h.stage.Printer.SetFault(either(on, f.is, printer.None))
				return nil
			}
		}
	case "pad":
		for _, f := range padFaults {
			if f.ID == fault {
				h.stage.Pad.SetFault(either(on, f.is, pinpad.None))
				return nil
			}
		}
	case "hub":
		h.stage.KillHub()
		return h.stage.StartHub(ctx)
	}
	return fmt.Errorf("no switch %s of %s", fault, group)
}

func either[T any](on bool, yes, no T) T {
	if on {
		return yes
	}
	return no
}

// pullWhilePaying takes the card out as soon as a bank sees a payment.
func (h *hardware) pullWhilePaying(on bool) {
	h.mu.Lock()
	h.pullOn = on
	h.mu.Unlock()
	if !on {
		h.stage.OnRequest(nil)
		return
	}
	h.stage.OnRequest(func(k profile.Kind) bankhost.Fault {
		if k == profile.Debit {
			h.stage.OnRequest(nil)
			go func() {
				h.mu.Lock()
				h.pullOn = false
				h.mu.Unlock()
				_ = h.stage.Pull() // an empty slot is as good
			}()
		}
		return bankhost.None
	})
}

// Strips is the paper that came out.
func (h *hardware) Strips() []panel.Strip {
	papers := h.stage.Printer.Papers()
	out := make([]panel.Strip, len(papers))
	for i, p := range papers {
		out[i] = panel.Strip{No: p.No, At: p.At, SVG: p.Paper.SVG(), Whole: p.Whole}
	}
	return out
}

// Clear throws the paper away.
func (h *hardware) Clear() { h.stage.Printer.Clear() }

// noticesToTry is how many payment notices lie ready for the counter.
const noticesToTry = 3

// notices makes today's notices of the first cards that owe something.
func (h *hardware) notices(ctx context.Context) error {
	for _, c := range h.stage.Cards {
		if len(h.order) == noticesToTry {
			break
		}
		var a operator.Answer
		err := h.stage.Operator.Ask(ctx, "/v1/notice", operator.PersonRequest{IDNumber: c.Person.IDNumber, Days: 30}, &a)
		var refused *operator.RefusedError
		if errors.As(err, &refused) || a.Notice == "" {
			continue // not on the register, or nothing open
		}
		if err != nil {
			return err
		}
		h.made[a.Notice] = madeNotice{text: si.NewName(c.Name).Masked(), total: si.Fen(a.Total)}
		h.order = append(h.order, a.Notice)
	}
	return nil
}

// Banks are those with a counter link.
func (h *hardware) Banks() []panel.Bank {
	var out []panel.Bank
	for _, p := range h.stage.Profiles {
		if p.BankInitiated {
			out = append(out, panel.Bank{Code: p.Code, Name: p.Name})
		}
	}
	return out
}

// Notices are those that lie ready.
func (h *hardware) Notices() []panel.Notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []panel.Notice
	for _, no := range h.order {
		out = append(out, panel.Notice{No: no, Text: h.made[no].text, Total: h.made[no].total})
	}
	return out
}

// counter opens the bank's counter, or the one that is open.
func (h *hardware) counter(ctx context.Context, bank string) (*bankhost.Counter, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.links[bank]; ok {
		if c.Echo() == nil {
			return c, nil
		}
		_ = c.Close()
		delete(h.links, bank)
	}
	c, err := h.stage.Counter(ctx, bank)
	if err != nil {
		return nil, err
	}
	h.links[bank] = c
	return c, nil
}

func (h *hardware) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.links {
		_ = c.Close()
	}
	clear(h.links)
}

// Inquire asks what a notice costs.
func (h *hardware) Inquire(ctx context.Context, bank, notice string) (panel.CounterAnswer, error) {
	no, err := si.ParseNoticeNo(notice)
	if err != nil {
		return panel.CounterAnswer{Lines: []string{"通知单号不对，请核对20位数字 / the notice number is not right"}}, nil
	}
	c, err := h.counter(ctx, bank)
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	r, err := c.InquireNotice(no)
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	return h.told(r), nil
}

// Pay pays a notice; the same notice at the same bank again is the same
// message, and must get the same answer.
func (h *hardware) Pay(ctx context.Context, bank, notice string) (panel.CounterAnswer, error) {
	no, err := si.ParseNoticeNo(notice)
	if err != nil {
		return panel.CounterAnswer{Lines: []string{"通知单号不对 / the notice number is not right"}}, nil
	}
	c, err := h.counter(ctx, bank)
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	key := bank + "/" + notice
	h.mu.Lock()
	p, again := h.paid[key]
	h.mu.Unlock()
	if !again {
		q, err := c.InquireNotice(no)
		if err != nil {
			return panel.CounterAnswer{}, err
		}
		if q.Code != "00" {
			return h.told(q), nil
		}
		p = c.NewPayment(no, q.Amount)
		h.mu.Lock()
		h.paid[key] = p
		h.mu.Unlock()
	}
	r, err := c.Pay(p)
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	return h.told(r), nil
}

// Reverse takes back what this bank's counter has paid for the notice. A payment
// that was taken back can be made anew.
func (h *hardware) Reverse(ctx context.Context, bank, notice string) (panel.CounterAnswer, error) {
	key := bank + "/" + notice
	h.mu.Lock()
	p, ok := h.paid[key]
	if !ok {
		p, ok = h.back[key]
	}
	h.mu.Unlock()
	if !ok {
		return panel.CounterAnswer{Lines: []string{"本行柜台没有为此通知单缴过费 / this counter has paid nothing for it"}}, nil
	}
	c, err := h.counter(ctx, bank)
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	r, err := c.Reverse(p, "98")
	if err != nil {
		return panel.CounterAnswer{}, err
	}
	if r.Code == "00" {
		h.mu.Lock()
		delete(h.paid, key)
		h.back[key] = p
		h.mu.Unlock()
	}
	return h.told(r), nil
}

// told writes an answer for the teller.
func (h *hardware) told(r *bankhost.Reply) panel.CounterAnswer {
	words := map[string]string{"00": "成功 / done", "25": "没有这张通知单或缴费 / no such notice or payment", "22": "已过冲正时限 / too late to reverse", "94": "重复而内容不同 / repeated with other content", "N1": "已经缴清 / already paid", "N2": "已过期 / expired",
		"N3": "金额不符 / amount differs", "N5": "正在别处缴费 / being paid elsewhere", "N6": "本行不能缴 / not payable here"}
	a := panel.CounterAnswer{OK: r.Code == "00", Lines: []string{"应答码 " + r.Code + "  " + words[r.Code]}}
	for _, f := range [][2]string{{"NM", "姓名"}, {"CN", "笔数"}, {"TS", "费款所属期"}, {"IT", "险种"}, {"RN", "回单号"}, {"PY", "缴费编号"}, {"ER", "详细代码"}} {
		v := r.Records[f[0]]
		if v != "" {
			a.Lines = append(a.Lines, f[1]+" "+v)
		}
	}
	if r.Amount > 0 {
		a.Lines = append(a.Lines, "金额 "+r.Amount.Grouped())
	}
	if !r.HasMAC || !r.MACGood {
		a.OK = false
		a.Lines = append(a.Lines, "MAC 不对 / wrong MAC")
	}
	return a
}
