// Package evening makes what lies on the table when a bank's date is closed: the
// bank's detail file, the ledger's payments and the terminals' journals, of a day
// that somebody made up, with differences planted in it whose class is known. It
// has its own code for the file, so that a mistake of the reader is not its own.
package evening
