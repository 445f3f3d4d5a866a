package profile

import "time"

// rulesFile mirrors rules.yaml. An unknown key is an error: a mistyped limit
// must not become no limit.
type rulesFile struct {
	Code          string `yaml:"code"`
	Number        int    `yaml:"number"`
	Name          string `yaml:"name"`
	NameEn        string `yaml:"name_en"`
	Phone         string `yaml:"phone"`
	Version       string `yaml:"version"`
	Dialect       string `yaml:"dialect"`
	BankInitiated bool   `yaml:"bank_initiated"`

	Framing struct {
		LengthBytes int    `yaml:"length_bytes"`
		LengthScope string `yaml:"length_scope"`
		TPDU        string `yaml:"tpdu"`
		Header      string `yaml:"header"`
		HeaderFlag  string `yaml:"header_flag"`
		Destination string `yaml:"destination"`
		Source      string `yaml:"source"`
	} `yaml:"framing"`

	Keys struct {
		Form      string         `yaml:"form"`
		MAKDouble bool           `yaml:"mak_double"`
		KBPK      string         `yaml:"kbpk"`
		Terminals []terminalFile `yaml:"terminals"`
	} `yaml:"keys"`

	MAC struct {
		Algorithm string `yaml:"algorithm"`
		Scope     string `yaml:"scope"`
		Field     int    `yaml:"field"`
		AllowWeak bool   `yaml:"allow_weak"`
	} `yaml:"mac"`

	PIN struct {
		Format string `yaml:"format"`
		Field  string `yaml:"field"`
		Proof  string `yaml:"proof"`
	} `yaml:"pin"`

	Parties struct {
		Acquirer  string `yaml:"acquirer"`
		Forwarder string `yaml:"forwarder"`
		Merchant  string `yaml:"merchant"`
		Terminal  string `yaml:"terminal"`
		Account   string `yaml:"account"`
	} `yaml:"parties"`

	Reversal struct {
		Style           string `yaml:"style"`
		CrossDay        string `yaml:"cross_day"`
		NoOriginalFinal bool   `yaml:"no_original_is_final"`
		InquireFirst    bool   `yaml:"inquire_first"`
		InquiryIsProof  bool   `yaml:"inquiry_is_proof"`
	} `yaml:"reversal"`

	CardRefusal struct {
		Removed string `yaml:"removed"`
		AAC     string `yaml:"aac"`
	} `yaml:"card_refusal"`

	Cutover   string                  `yaml:"cutover"`
	Timers    timersFile              `yaml:"timers"`
	Limits    limitsFile              `yaml:"limits"`
	Classes   map[string][]string     `yaml:"classes"`
	OwnCodes  map[string]string       `yaml:"own_codes"`
	IINs      []string                `yaml:"iins"`
	DE55      map[string][]string     `yaml:"de55"`
	Content   map[string][]int        `yaml:"content"`
	Separator string                  `yaml:"track_separator"`
	Records   int                     `yaml:"record_field"`
	Messages  map[string]exchangeFile `yaml:"messages"`
}

type terminalFile struct {
	DE41 string `yaml:"de41"`
	DE42 string `yaml:"de42"`
	TMK  string `yaml:"tmk"`
}

type timersFile struct {
	Connect       time.Duration `yaml:"connect"`
	SignOn        time.Duration `yaml:"sign_on"`
	Reply         time.Duration `yaml:"reply"`
	ReversalReply time.Duration `yaml:"reversal_reply"`
	Inquiry       time.Duration `yaml:"inquiry"`
	RetryFirst    time.Duration `yaml:"retry_first"`
	RetryMost     time.Duration `yaml:"retry_most"`
	EchoIdle      time.Duration `yaml:"echo_idle"`
	Write         time.Duration `yaml:"write"`
	SendDeadline  time.Duration `yaml:"send_deadline"`
	ReconnectMin  time.Duration `yaml:"reconnect_min"`
	ReconnectMost time.Duration `yaml:"reconnect_most"`
	CardOutcome   time.Duration `yaml:"card_outcome"`
}

type limitsFile struct {
	InFlight      int           `yaml:"in_flight"`
	BreakerCount  int           `yaml:"breaker_count"`
	BreakerWindow time.Duration `yaml:"breaker_window"`
	BadReplies    int           `yaml:"bad_replies"`
	AlarmAfter    int           `yaml:"alarm_after"`
	BatchPayments uint32        `yaml:"batch_payments"`
	MaxAmountFen  int64         `yaml:"max_amount_fen"`
	MaxFrame      int           `yaml:"max_frame"`
	Connections   int           `yaml:"connections"`
	InquiryPerMin int           `yaml:"inquiry_per_min"`
}

type exchangeFile struct {
	Request messageFile `yaml:"request"`
	Reply   messageFile `yaml:"reply"`
}

type messageFile struct {
	MTI       string         `yaml:"mti"`
	Repeat    string         `yaml:"repeat"`
	Proc      string         `yaml:"proc"`
	Network   []string       `yaml:"network"`
	Function  string         `yaml:"function"`
	Tail      string         `yaml:"tail"`
	Mandatory []int          `yaml:"mandatory"`
	Optional  []int          `yaml:"optional"`
	Dropped   []int          `yaml:"dropped"`
	Fixed     map[int]string `yaml:"fixed"`
}

// specFile mirrors spec.json: the part of the format of moov-io/iso8583 that a
// bank link needs. Padding and subfields are left out on purpose: the library
// strips the leading zeros of padded numbers, so that STAN 000001 becomes 1.
type specFile struct {
	Name   string               `yaml:"name"`
	Fields map[string]fieldFile `yaml:"fields"`
}

type fieldFile struct {
	Type              string `yaml:"type"`
	Length            int    `yaml:"length"`
	Description       string `yaml:"description"`
	Enc               string `yaml:"enc"`
	Prefix            string `yaml:"prefix"`
	DisableAutoExpand bool   `yaml:"disableAutoExpand"`
}
