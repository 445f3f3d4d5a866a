// Package data holds the business data that the demo starts with: the profiles
// of four fictional banks. It is data, not configuration: a running node takes
// all of it from the log, where `shebaoctl config put` writes it.
package data

import "embed"

// Banks has one folder for each demo bank, rcb, icbc, ccb and boc, with
// spec.json and rules.yaml (docs/operating/add-a-bank.md).
//
//go:embed banks/*
var Banks embed.FS
