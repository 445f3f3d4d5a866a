package printer

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// The head prints 576 dots; the paper is 80 mm wide, 640 dots.
const (
	headDots  = 576
	paperDots = 640
	margin    = (paperDots - headDots) / 2
	lineDots  = 34 // one line of 24-dot characters with its gap
)

// SVG draws the paper as it hangs out of the printer, one unit a dot, every
// character on its column. The file refers to nothing outside itself.
func (p Paper) SVG() string {
	var b strings.Builder
	y := 24
	for _, l := range p.Lines {
		y += draw(&b, l, y)
	}
	y += 16
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="纸条 paper">`, paperDots, y)
	fmt.Fprintf(&out, `<path fill="#fffefa" d="%s"/>`, outline(y, p.Cut))
	out.WriteString(`<g fill="#23201c" font-family="'Noto Sans Mono CJK SC','Noto Sans CJK SC',monospace">`)
	out.WriteString(b.String())
	out.WriteString(`</g></svg>`)
	return out.String()
}

// outline is a straight edge above and the teeth of the blade below.
func outline(height int, cut bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M0 0H%dV%d", paperDots, height-8)
	if cut {
		for x := paperDots - 10; x >= 0; x -= 10 {
			dy := height - 8
			if (x/10)%2 == 1 {
				dy = height
			}
			fmt.Fprintf(&b, "L%d %d", x, dy)
		}
	} else {
		b.WriteString("H0")
	}
	b.WriteString("Z")
	return b.String()
}

// draw appends one line at y and answers its height.
func draw(b *strings.Builder, l Line, y int) int {
	switch l.Kind {
	case Text:
		return drawText(b, l, y)
	case Feed:
		return l.Size * lineDots / 2
	case Code128, QR:
		return drawSymbol(b, l, y)
	case Cut:
		return lineDots / 2
	}
	return 0
}

func drawText(b *strings.Builder, l Line, y int) int {
	dots := 0
	for _, r := range l.Text {
		dots += runeDots(r) * l.Size
	}
	x := start(l.Align, dots)
	weight := ""
	if l.Bold {
		weight = ` font-weight="700"`
	}
	var xs strings.Builder
	for _, r := range l.Text {
		fmt.Fprintf(&xs, "%d ", x)
		x += runeDots(r) * l.Size
	}
	fmt.Fprintf(b, `<text xml:space="preserve" y="%d" font-size="%d"%s x="%s">%s</text>`,
		y+24*l.Size, 24*l.Size, weight, strings.TrimSpace(xs.String()), html.EscapeString(l.Text))
	return lineDots * l.Size
}

// matrix is a symbol placed on the paper: modules of dot by tall dots.
type matrix struct {
	x, cols, rows, dot, tall int
	dark                     func(col, row int) bool
}

// symbol encodes and places the data of a line. It answers false for data that
// the code cannot hold.
func symbol(l Line) (matrix, bool) {
	var code barcode.Barcode
	var err error
	m := matrix{dot: 5, tall: 5}
	if l.Kind == QR {
		code, err = qr.Encode(l.Text, qr.M, qr.Unicode)
	} else {
		m.dot, m.tall = 2, 72
		code, err = code128.Encode(l.Text)
	}
	if err != nil {
		return m, false
	}
	m.cols, m.rows = code.Bounds().Dx(), code.Bounds().Dy()
	m.x = start(l.Align, m.cols*m.dot)
	m.dark = func(col, row int) bool {
		r, _, _, _ := code.At(col, row).RGBA()
		return r == 0
	}
	return m, true
}

// drawSymbol draws the dark modules; data that no symbol can hold is said in
// words, as a printer prints nothing there.
func drawSymbol(b *strings.Builder, l Line, y int) int {
	m, ok := symbol(l)
	if !ok {
		return drawText(b, Line{Kind: Text, Text: "[no symbol]", Align: Center, Size: 1}, y)
	}
	b.WriteString(`<path d="`)
	for row := range m.rows {
		for col := range m.cols {
			if m.dark(col, row) {
				fmt.Fprintf(b, "M%d %dh%dv%dh-%dz", m.x+col*m.dot, y+row*m.tall, m.dot, m.tall, m.dot)
			}
		}
	}
	b.WriteString(`"/>`)
	return m.rows*m.tall + 12
}

func start(a Align, dots int) int {
	switch a {
	case Center:
		return margin + (headDots-dots)/2
	case Right:
		return margin + headDots - dots
	case Left:
	}
	return margin
}

func runeDots(r rune) int {
	if r < 0x80 {
		return 12
	}
	return 24
}

// PNG draws the symbols of the paper, text as grey bars: what a scanner needs,
// for tests. SVG is the picture for people.
func (p Paper) PNG() []byte {
	height := 48
	for _, l := range p.Lines {
		height += draw(&strings.Builder{}, l, 0)
	}
	img := image.NewGray(image.Rect(0, 0, paperDots, height))
	for i := range img.Pix {
		img.Pix[i] = 0xFF
	}
	fill := func(x, y, w, h int, v uint8) {
		for dy := range h {
			for dx := range w {
				img.SetGray(x+dx, y+dy, color.Gray{Y: v})
			}
		}
	}
	y := 24
	for _, l := range p.Lines {
		h := draw(&strings.Builder{}, l, y)
		if l.Kind == Code128 || l.Kind == QR {
			m, ok := symbol(l)
			for row := 0; ok && row < m.rows; row++ {
				for col := range m.cols {
					if m.dark(col, row) {
						fill(m.x+col*m.dot, y+row*m.tall, m.dot, m.tall, 0)
					}
				}
			}
		}
		if l.Kind == Text && l.Text != "" {
			fill(margin, y+4, headDots/3, 12*l.Size, 0xC0)
		}
		y += h
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil // a buffer takes everything
	}
	return out.Bytes()
}
