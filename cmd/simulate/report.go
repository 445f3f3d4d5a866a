package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// writeReport writes v, indented, as <dir>/<date>-<kind>.json and gives the path.
// A report of the same kind and date is replaced.
func writeReport(dir, kind string, v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	path := filepath.Join(dir, time.Now().Format(time.DateOnly)+"-"+kind+".json")
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return path, nil
}
