package data

import "embed"

// Start holds what a new region is given beside the profiles: bank facts
// (facts/<bank code>.txt) and the rate table (rates/330110.yaml).
//
//go:embed facts/* rates/*
var Start embed.FS
