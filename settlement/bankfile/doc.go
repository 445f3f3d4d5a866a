// Package bankfile reads and writes the files of the settlement day: totals,
// details, account, mandates, batch debit and refunds, as lines with separators
// or of fixed width, and account statements in camt.053.
//
// [Read] takes a file whole or not at all. It hands each row to a callback while
// it reads, because a file can have five million; what the callback was given
// counts only when Read returns nil. Any fault of the file is a [Quarantine]:
// code, byte offset, line, field. Every other error comes from the source or
// from the callback, and says nothing about the file. [Write] makes the same
// files, and writes nothing that Read would refuse.
//
// The package is pure: bytes in, rows or a reason out. Which file is due, where
// it lies, its signature, and what the ledger makes of it are the caller's.
// Codes Q01 (missing) and Q11 (signature) exist here for the caller.
//
// Caveats: the bytes of a row are those of the read buffer and live until the
// callback returns; text stays in the file's character set until [Layout.Text]
// is asked. Reading a row allocates nothing.
//
// Specification: docs/format/bank-files.md. Left out: XML forms of the detail
// file, camt.054, statements of several pages.
package bankfile
