// Package sheet reads the tables that people bring to an office: CSV, and the
// one sheet of an XLSX workbook.
//
// It is strict. A file is UTF-8 with the exact header, every line has every
// column, and what a spreadsheet may have changed on its own (rounded numbers,
// formulas, dates) is refused with the line and what to do. An error names line
// and column and never repeats what stands there, because it is personal data.
//
// A [Reader] takes CSV lines from a stream in the memory of one line. [Open]
// opens a file of either kind and answers CSV: a workbook is unpacked where the
// person is, so that the node takes plain lines only and never opens an archive.
// Line numbers are the same on both sides.
//
// The workbook reader is our own: the libraries for it put sheets of this size
// into temporary files in the clear, and read a formula's remembered result
// without telling. It knows strings, shared strings and whole numbers, and
// nothing else. Tests hold it to a library that writes workbooks.
package sheet
