// Package si holds the base nouns of social insurance payments: amounts,
// persons, periods, insurance types, banks, dates, payment ids, and the values
// that must never be printed. Everyone may import it; it imports the standard
// library only and does no I/O.
//
// Shapes and units: money is [Fen] (hundredth of a yuan), business dates are
// days since 2000-01-01 in China time, periods are months since 2000-01.
// Secret values ([PAN], [IDNumber], [Track2], [PINBlock], [Name]) print masked
// under every verb; their clear form needs Reveal with a stated purpose.
//
// Its children are vocabularies between zones, plain structs without logic:
// termapi (terminal and hub), ledgerapi (money side and ledger), hsmapi
// (anyone and the HSM process).
package si
