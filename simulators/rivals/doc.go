// Package rivals are other engines doing the ledger's hottest work, so that its
// figures have something to stand beside: bbolt with group commit, and PostgreSQL
// with batched statements.
//
// Both take the same [github.com/shebao-pay/shebao/si/ledgerapi.Pay] from the same
// clients as a ledger node and answer it when it is durable: the due is open, of
// the version and amount named, and becomes paid; the payment is kept under its
// id, which is never taken twice; four posting lines are written; the balance of
// the bank's clearing account and of the income account moves; a receipt number is
// given. Both gather what waits into one transaction, as the ledger does.
//
// Left out on purpose, in the rivals' favour: notices, refusals by the oldest-first
// rule, the hash chain, individual accounts, day totals, and history by person.
package rivals
