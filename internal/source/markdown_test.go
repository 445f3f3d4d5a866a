package source

import (
	"slices"
	"testing"
)

func TestCodes(t *testing.T) {
	const page = "Say `make run`, then `x`.\n" +
		"```\nmake `run`\n\n```\n" +
		"1. In a list:\n\n   ```sh a\n   one\n     two\n   ```\n" +
		"End `y"
	want := []Code{
		{1, "make run", 0, ""}, {1, "x", 0, ""},
		{3, "make `run`", 1, ""}, {4, "", 1, ""},
		{9, "one", 2, "sh a"}, {10, "  two", 2, "sh a"},
		{12, "y", 0, ""},
	}
	if got := Codes(page); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
