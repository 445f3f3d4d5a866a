// Package enrol holds the rules of records about people that are not money: who
// may have which cover, and how cover, mandates, cases and bookings move from
// state to state. It stores nothing; ledger/core asks it and keeps the records.
//
// # Nouns
//
// Cover is a person's relation to one insurance type (参保关系); a spell is one
// stretch of it from beginning to end. An exclusive group is a set of insurance
// types of which a person has at most one ACTIVE. A [Table] is a region's rules
// as dated data: groups, ages, household, how far back a missed period may be
// paid.
//
// # Caveats
//
// Ages are full years by the month of birth, because the register keeps no day.
// The figures of the shipped table are examples.
//
// Left out: rates and grades, which are ledger/assess's; who may choose which
// grade; rules about employers.
package enrol
