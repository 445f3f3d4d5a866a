// Package msgtest makes bank messages for tests: good ones of every kind that a
// profile has, at random and from a seed, and a corpus of malformed frames in
// which every single one must be refused.
//
// Nouns: a [Sampler] fills messages; a [Wire] is an encoded frame with the place
// of each of its elements; a [Case] is one malformed frame with the class of its
// fault; [Corpus] walks all cases of one profile and one end of the line.
//
// The corpus is generated, not stored: the same profile and the same version of
// this package give the same frames, and settlement/bankmsg holds their number
// and the SHA-256 over them (TestCorpus). docs/spec/bank-wire.md, section 8,
// lists the classes.
//
// It knows the wire form from the profile's fields alone, apart from the codec
// that it is made to test. Only tests import it.
package msgtest
