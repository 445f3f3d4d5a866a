// Package archtest holds the architecture as a test: which package may import
// which, where each outside module has its home and at which version, what the
// deterministic cores may not touch, and where struct tags may stand.
//
// The tables are the rules; docs/ARCHITECTURE.md says why they are so. A change
// of architecture begins with a row here, so that it is seen in review. Each
// rule has a test that plants a breach and expects to find it.
//
// Rules of text and syntax that are not about architecture live in
// internal/lint. The go command caches results of tests whose inputs it does
// not see, so scripts/lint.sh runs both with -count=1.
package archtest
