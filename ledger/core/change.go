package core

// Bucket names a kind of row in durable storage. The numbers are in no file;
// the names are.
type Bucket uint8

// The buckets. Those up to LastLive hold the live state and are what Restore
// reads, in this order; the others hold history and are read through Past. Pay
// and Due hold both: a row is written once, and the bit that says that it left
// memory makes it history.
const (
	BucketMeta       Bucket = iota + 1 // counters, applied index, chain head
	BucketConfig                       // versions of business data
	BucketTerminal                     // terminals
	BucketWindow                       // a bank's window and sequences
	BucketSequence                     // STAN and receipt sequences
	BucketAccount                      // books: balances and totals
	BucketPerson                       // persons
	BucketCard                         // cards
	BucketHead                         // blocks of 256 persons: where their history begins
	BucketPayGone                      // which payments have left memory, a bit each
	BucketPay                          // payments by number: never deleted
	BucketDueGone                      // which dues have left memory, a bit each
	BucketDue                          // blocks of 256 dues by id: never deleted
	BucketNotice                       // payment notices
	BucketAck                          // ids of commands that are no payment
	BucketIndividual                   // individual accounts by year

	BucketJournal // what happened, by journal number: never deleted
	BucketPayOld  // id of a payment that left memory → its number and the person's one before it
	BucketReceipt // receipt number → id
	BucketAckOld  // command ids of sealed dates
	bucketEnd

	LastLive = BucketIndividual
)

var bucketNames = [...]string{"", "meta", "config", "terminal", "window", "seq", "acct", "person", "card",
	"head", "pay_gone", "pay", "due_gone", "due", "notice", "ack", "indiv", "jrnl", "pay_old", "receipt", "ack_old"}

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
