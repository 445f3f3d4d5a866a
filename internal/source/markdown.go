package source

import (
	"regexp"
	"strings"
)

// Code is one piece of code on a Markdown page: a line of a fenced block, or a
// span between backquotes.
type Code struct {
	Line  int    // of the page, from one
	Text  string // as it stands there, without what quotes it
	Block int    // of the page's fenced blocks, from one; 0 for a span
	Lang  string // what the block calls itself, such as mermaid; empty mostly
}

var fence = regexp.MustCompile("^ *```(.*)$")

// Codes gives the code of a Markdown page in order. A fence may be indented, as
// in a list; its lines are given without that indent.
func Codes(body string) []Code {
	var out []Code
	block, fenced, lang, indent := 0, false, "", ""
	n := 0
	for line := range strings.Lines(body) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if m := fence.FindStringSubmatch(line); m != nil {
			if fenced = !fenced; fenced {
				block++
				lang, indent = strings.TrimSpace(m[1]), line[:strings.Index(line, "`")]
			}
			continue
		}
		if fenced {
			out = append(out, Code{n, strings.TrimPrefix(line, indent), block, lang})
			continue
		}
		for i, part := range strings.Split(line, "`") {
			if i%2 == 1 {
				out = append(out, Code{Line: n, Text: part})
			}
		}
	}
	return out
}
