package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// counterPayment is a payment as the counter prints it and reads it back: the
// numbers by which the same payment is asked after, repeated and reversed.
type counterPayment struct {
	Notice    string `json:"notice"`
	AmountFen int64  `json:"amount_fen"`
	STAN      int    `json:"stan"`
	DE7       string `json:"de7"`
	Serial    string `json:"serial"`
	Date      string `json:"date"`
}

// counterAnswer is what one verb prints.
type counterAnswer struct {
	Verb    string            `json:"verb"`
	Code    string            `json:"code"` // DE 39
	GoodMAC bool              `json:"good_mac"`
	Amount  int64             `json:"amount_fen,omitempty"`
	Auth    string            `json:"auth,omitempty"`
	Records map[string]string `json:"records,omitempty"` // by tag: RN receipt, PY payment, NN notice …
	Payment *counterPayment   `json:"payment,omitempty"`
}

func counterCommand() *cobra.Command {
	var bench benchFlags
	var addr, teller, channel, notice, payment, reason string
	var byID bool
	var amount int64
	c := &cobra.Command{
		Use: "counter VERB", Args: cobra.ExactArgs(1),
		Short: "A bank's counter at our ISO 8583 server: sign-on, echo, inquire, pay, status, reverse",
		Long: `Plays a bank's counter or e-bank at our server: connects, signs on, hands working
keys over, does one thing, and prints one JSON object. It ends with 1 when the
answer is not 00 or has no good code.

  sign-on   nothing more
  echo      asks whether the server is there
  inquire   what a notice costs (--notice), or a person's (--id, the ID number on
            standard input)
  pay       pays a notice (--notice; --amount, else what the inquiry says); with
            --payment FILE the same payment again, by the numbers of FILE
  status    what became of the payment of --payment FILE
  reverse   takes the payment of --payment FILE back (--reason)

FILE is what pay printed; - is standard input.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCounter(cmd.Context(), &bench, addr, teller, channel, func(b *bankhost.Counter) error {
				v := counterVerb{Counter: b, in: cmd.InOrStdin(), notice: notice, byID: byID, amount: amount, payment: payment, reason: reason}
				a, err := v.do(args[0])
				if err != nil {
					return err
				}
				(&lines{w: cmd.OutOrStdout()}).put(a)
				if a.Code != "00" || !a.GoodMAC {
					return &exitError{"the answer is " + a.Code}
				}
				return nil
			})
		},
	}
	bench.add(c)
	c.Flags().StringVar(&addr, "addr", "", "address of our server for this bank (counters in the node file)")
	c.Flags().StringVar(&teller, "teller", "T0001", "teller, 1 to 16 characters")
	c.Flags().StringVar(&channel, "channel", "CTR", "CTR counter, EBK e-bank, MOB mobile")
	c.Flags().StringVar(&notice, "notice", "", "notice number, 20 digits")
	c.Flags().BoolVar(&byID, "id", false, "inquire by ID number, which is read from standard input")
	c.Flags().Int64Var(&amount, "amount", 0, "fen to pay; 0 asks first")
	c.Flags().StringVar(&payment, "payment", "", "file with an earlier payment")
	c.Flags().StringVar(&reason, "reason", "98", "DE 39 of a reversal")
	_ = c.MarkFlagRequired("addr") // the flag is there
	return c
}

// counterVerb is one thing that a counter does.
type counterVerb struct {
	*bankhost.Counter
	in              io.Reader
	notice, payment string
	reason          string
	byID            bool
	amount          int64
}

func (v *counterVerb) do(verb string) (counterAnswer, error) {
	switch verb {
	case "sign-on":
		return counterAnswer{Verb: verb, Code: "00", GoodMAC: true}, nil // it has signed on, or there was an error
	case "echo":
		return counterAnswer{Verb: verb, Code: "00", GoodMAC: true}, v.Echo()
	case "inquire":
		r, err := v.inquire()
		return answerOf(verb, r, nil), err
	case "pay":
		p, err := v.toPay()
		if err != nil {
			return counterAnswer{}, err
		}
		r, err := v.Pay(p)
		return answerOf(verb, r, &p), err
	case "status", "reverse":
		p, err := v.earlier()
		if err != nil {
			return counterAnswer{}, err
		}
		ask := func() (*bankhost.Reply, error) { return v.Reverse(p, v.reason) }
		if verb == "status" {
			ask = func() (*bankhost.Reply, error) { return v.Status(p) }
		}
		r, err := ask()
		return answerOf(verb, r, &p), err
	}
	return counterAnswer{}, fmt.Errorf("no verb %q; there are sign-on, echo, inquire, pay, status and reverse", verb)
}

func (v *counterVerb) inquire() (*bankhost.Reply, error) {
	if v.byID {
		id, err := bufio.NewReader(io.LimitReader(v.in, 64)).ReadString('\n')
		if err != nil && id == "" {
			return nil, fmt.Errorf("the ID number is missing: it is read from standard input: %w", err)
		}
		return v.InquireID(strings.TrimSpace(id))
	}
	n, err := si.ParseNoticeNo(v.notice)
	if err != nil {
		return nil, fmt.Errorf("--notice: %w", err)
	}
	return v.InquireNotice(n)
}

// toPay is the payment of the file, or a new one.
func (v *counterVerb) toPay() (bankhost.Payment, error) {
	if v.payment != "" {
		return v.earlier()
	}
	n, err := si.ParseNoticeNo(v.notice)
	if err != nil {
		return bankhost.Payment{}, fmt.Errorf("--notice: %w", err)
	}
	if v.amount == 0 {
		r, err := v.InquireNotice(n)
		if err != nil {
			return bankhost.Payment{}, err
		}
		if r.Code != "00" || !r.MACGood {
			return bankhost.Payment{}, fmt.Errorf("the inquiry is answered %s", r.Code)
		}
		v.amount = int64(r.Amount)
	}
	return v.NewPayment(n, si.Fen(v.amount)), nil
}

// earlier reads a payment that was printed before.
func (v *counterVerb) earlier() (p bankhost.Payment, err error) {
	if v.payment == "" {
		return p, fmt.Errorf("--payment is missing: the file with what pay printed")
	}
	b, err := v.file()
	if err != nil {
		return p, err
	}
	var a counterAnswer
	if err := json.Unmarshal(b, &a); err != nil || a.Payment == nil {
		return p, fmt.Errorf("%s is not what pay printed", v.payment)
	}
	q := a.Payment
	p = bankhost.Payment{Amount: si.Fen(q.AmountFen), STAN: q.STAN, DE7: q.DE7, Serial: q.Serial}
	if p.Notice, err = si.ParseNoticeNo(q.Notice); err != nil {
		return p, fmt.Errorf("%s: notice: %w", v.payment, err)
	}
	if p.Date, err = si.ParseDate(q.Date); err != nil {
		return p, fmt.Errorf("%s: date: %w", v.payment, err)
	}
	if len(p.DE7) != 10 {
		return p, fmt.Errorf("%s: de7 has not ten digits", v.payment)
	}
	return p, nil
}

func (v *counterVerb) file() ([]byte, error) {
	in := v.in
	if v.payment != "-" {
		f, err := os.Open(v.payment)
		if err != nil {
			return nil, fmt.Errorf("--payment: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("--payment: %w", err)
	}
	return b, nil
}

func answerOf(verb string, r *bankhost.Reply, p *bankhost.Payment) counterAnswer {
	a := counterAnswer{Verb: verb}
	if r != nil {
		a.Code, a.GoodMAC, a.Amount, a.Auth, a.Records = r.Code, r.MACGood, int64(r.Amount), r.Auth, r.Records
	}
	if p != nil {
		a.Payment = &counterPayment{Notice: p.Notice.String(), AmountFen: int64(p.Amount), STAN: p.STAN, DE7: p.DE7, Serial: p.Serial, Date: p.Date.String()}
	}
	return a
}
