// Package assess turns a declared base or a chosen grade into fen: floor and
// cap, rate, rounding, the split between pooled fund and individual account,
// and the late fee.
//
// All arithmetic is on integers and rounds once, half up ([RoundHalfUp]). Rates
// are parts per million. Decimal text is read at one place, where a rate table
// is parsed; nothing is a floating-point number anywhere.
//
// Floors and caps are stored figures, never computed as a share of an average
// wage, because published figures deviate from the computed ones.
//
// Law: Social Insurance Law of the PRC, art. 62 (undeclared: last month's amount
// × 110 %) and art. 86 (late fee 0.05 % a day, employers).
//
// Left out: interest on back-payments, and who may choose which grade.
package assess
