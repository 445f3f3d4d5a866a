package kiosk

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// maxCode bounds the text of a symbol on the screen.
const maxCode = 512

// qrSVG draws s as a QR code with its quiet zone. Text that no QR code of the
// screen can hold gives nothing: the number stands beside it in words.
func qrSVG(label, s string) template.HTML {
	if s == "" || len(s) > maxCode {
		return ""
	}
	code, err := qr.Encode(s, qr.M, qr.Unicode)
	if err != nil {
		return ""
	}
	return draw(code, label, "qr", 4, code.Bounds().Dy(), 1)
}

// barsSVG draws s as Code 128.
func barsSVG(label, s string) template.HTML {
	if s == "" || len(s) > maxCode {
		return ""
	}
	code, err := code128.Encode(s)
	if err != nil {
		return ""
	}
	return draw(code, label, "bars", 10, 1, 60)
}

// draw makes one path of the dark modules; tall is the height of a module.
func draw(code barcode.Barcode, label, class string, quiet, rows, tall int) template.HTML {
	var b strings.Builder
	cols := code.Bounds().Dx()
	dark := func(x, y int) bool {
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	aspect := "xMidYMid"
	if rows == 1 {
		aspect = "none" // bars may be stretched: their proportions stay
	}
	fmt.Fprintf(&b, `<svg class="%s" viewBox="0 0 %d %d" preserveAspectRatio="%s" role="img" aria-label="%s" shape-rendering="crispEdges">`,
		class, cols+2*quiet, rows*tall+2*quiet, aspect, template.HTMLEscapeString(label))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><path d="`, cols+2*quiet, rows*tall+2*quiet)
	for y := range rows {
		for x := 0; x < cols; x++ {
			from := x
			for x < cols && dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv%dh-%dz", quiet+from, quiet+y*tall, x-from, tall, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) //#nosec G203 -- numbers and an escaped label only
}
