package core

// Bucket names a kind of row in durable storage. The numbers are in no file;
// the names are.
type Bucket uint8

// The buckets. Those up to LastLive hold the live state and are what Restore
// reads, in this order; the others hold history and are read through Past. Pay
// and Due hold both: a row is written once, and the bit that says that it left
// memory makes it history.
const (
	BucketMeta          Bucket = iota + 1 // counters, applied index, chain head
	BucketConfig                          // versions of business data
	BucketTerminal                        // terminals
	BucketWindow                          // a bank's window and sequences
	BucketSequence                        // STAN and receipt sequences
	BucketAccount                         // books: balances and totals
	BucketPerson                          // persons
	BucketCard                            // cards
	BucketHead                            // blocks of 256 persons: where their history begins
	BucketPayGone                         // which payments have left memory, a bit each
	BucketPay                             // payments by number: never deleted
	BucketDueGone                         // which dues have left memory, a bit each
	BucketDue                             // blocks of 256 dues by id: never deleted
	BucketNotice                          // payment notices
	BucketAck                             // ids of commands that are no payment
	BucketIndividual                      // individual accounts by year
	BucketProxy                           // who may act for whom
	BucketCover                           // spells of cover
	BucketCoverMove                       // what changed in them
	BucketArrival                         // what other regions certified
	BucketCoverCert                       // what we certified to other regions
	BucketMandate                         // standing leave to debit
	BucketBinding                         // mobile numbers
	BucketCertified                       // life certifications
	BucketStatement                       // statements issued
	BucketCase                            // cases
	BucketCaseStep                        // their steps
	BucketBooking                         // appointments
	BucketProposal                        // acts of two persons
	BucketStatementLine                   // lines of account statements that are booked
	BucketSuspense                        // receipts that nobody could name yet
	BucketRefund                          // refunds
	BucketUndone                          // payments taken back by CorrectUnpaid
	BucketBreak                           // breaks
	BucketFile                            // bank files
	BucketRun                             // auto-debit runs
	BucketRunLine                         // lines of runs
	BucketDayHead                         // sealed dates
	BucketAnchor                          // heads of audit logs
	BucketUser                            // users of console and tools

	BucketJournal // what happened, by journal number: never deleted
	BucketPayOld  // id of a payment that left memory → its number and the person's one before it
	BucketPaidBy  // due id → number of the payment of another person that paid it
	BucketReceipt // receipt number → id
	BucketAckOld  // command ids of sealed dates
	BucketClosing // trial balance of each sealed date
	bucketEnd

	LastLive = BucketUser
)

var bucketNames = [...]string{"", "meta", "config", "terminal", "window", "seq", "acct", "person", "card",
	"person_head", "pay_gone", "pay", "due_gone", "due", "notice", "ack", "indiv", "proxy",
	"cover", "cover_move", "arrival", "cover_cert", "mandate", "binding", "certified", "statement", "case", "case_step",
	"booking", "proposal", "stmt", "suspense", "refund", "undone", "break", "file", "run", "run_line", "head", "anchor", "user",
	"jrnl", "pay_old", "paid_by", "receipt", "ack_old", "day"}

// String is the bucket's name in the file.
func (b Bucket) String() string {
	if b == 0 || b >= bucketEnd {
		return "bucket(?)"
	}
	return bucketNames[b]
}

// Buckets lists every bucket, live ones first, in the order Restore wants.
func Buckets() []Bucket {
	all := make([]Bucket, 0, bucketEnd-1)
	for b := BucketMeta; b < bucketEnd; b++ {
		all = append(all, b)
	}
	return all
}

// Grows tells whether rows of the bucket are mostly added behind all others.
func (b Bucket) Grows() bool { return b > LastLive || b == BucketPay || b == BucketDue }

// Change is one row to write. A nil Value deletes the key.
type Change struct {
	Bucket Bucket
	Key    []byte
	Value  []byte
}
