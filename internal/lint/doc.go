// Package lint holds the rules of text and syntax that a reader or a person
// whose data is at stake relies on: every package and exported name is
// documented, links and commands in the docs lead somewhere, no float comes
// near money, secrets are revealed in known files only, a word has one meaning in
// code, pages and on screens, every parser has a fuzz target, and nothing in the
// tree names a real person, card or machine.
//
// A rule is a function from files to problems; its test runs it over the module
// and another plants a breach for it. Tables of exceptions stand beside their
// rule and say why.
//
// What compilers and public linters find is left to them (scripts/lint.sh);
// imports, cores and modules are in internal/archtest.
package lint
