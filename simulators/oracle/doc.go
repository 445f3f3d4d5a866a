// Package oracle judges a day of simulators/world a second time, in plain SQL,
// without the world's own bookkeeping: it is given tables of what the banks'
// books, the ledger's log and journal, the terminals and the tellers have, loads
// them into a database in memory, and asks the statements of checks/*.sql.
//
// # Nouns
//
// A check is one file; it gives a row for everything that must not be, and none
// if its sentence holds. Its name begins with the invariant that it belongs to:
// I1 (money is conserved), I2 (a debit has one counterpart), I3 (a due is paid
// once). schema.sql says what each table holds; derive.sql adds up what several
// checks compare.
//
// # Caveats
//
// Two things come from the world: which deals a bank was made to lie about,
// because nobody else knows, and the breaks that the world's own match found,
// which are compared with what the tables show. There are no refunds in the
// world, so that none can be a debit's counterpart here.
package oracle
