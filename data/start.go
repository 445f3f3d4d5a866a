package data

import "embed"

// Start holds what a new region is given beside the profiles: bank facts
// (facts/<bank code>.txt), the rate table (rates/330110.yaml), the rules of
// cover (cover/330110.yaml) and the offices (offices/330110.yaml).
//
//go:embed facts/* rates/* cover/* offices/*
var Start embed.FS
