package paper

import "fmt"

// Page is one sheet under way. Places are tenths of a millimetre from the upper
// left corner.
type Page struct {
	doc  *Doc
	body []byte
}

// Text writes s with its baseline at y, beginning at x, in characters of the
// given height.
func (p *Page) Text(x, y, size int, s string) {
	if s == "" {
		return
	}
	p.body = fmt.Appendf(p.body, "BT /F %d Tf %d %d Td <", size, x, Height-y)
	for _, r := range s {
		p.body = fmt.Appendf(p.body, "%04X", p.doc.number(r))
	}
	p.body = append(p.body, "> Tj ET\n"...)
}

// Right is Text that ends at x.
func (p *Page) Right(x, y, size int, s string) { p.Text(x-p.doc.font.Width(s, size), y, size, s) }

// Centre is Text with its middle at x.
func (p *Page) Centre(x, y, size int, s string) { p.Text(x-p.doc.font.Width(s, size)/2, y, size, s) }

// Fit is Text in characters as much smaller as s needs to end within width. It
// never gets smaller than a third of the size: what is longer runs on.
func (p *Page) Fit(x, y, size, width int, s string) {
	small := size
	for p.doc.font.Width(s, small) > width && small > (size+2)/3 {
		small--
	}
	p.Text(x, y, small, s)
}

// Fill fills a rectangle with grey: 0 is black, 100 white.
func (p *Page) Fill(x, y, w, h, grey int) {
	p.body = fmt.Appendf(p.body, "%d.%02d g %d %d %d %d re f 0 g\n", grey/100, grey%100, x, Height-y-h, w, h)
}

// Line draws a black line of a width between two places.
func (p *Page) Line(x1, y1, x2, y2, width int) {
	p.body = fmt.Appendf(p.body, "%d w %d %d m %d %d l S\n", width, x1, Height-y1, x2, Height-y2)
}

// Dots draws the dark cells of a symbol of cols by rows cells, each w wide and h
// high, with its upper left corner at x, y.
func (p *Page) Dots(x, y, w, h, cols, rows int, dark func(col, row int) bool) {
	for row := range rows {
		for col := 0; col < cols; col++ {
			from := col
			for col < cols && dark(col, row) {
				col++
			}
			if col > from {
				p.body = fmt.Appendf(p.body, "%d %d %d %d re\n", x+from*w, Height-y-(row+1)*h, (col-from)*w, h)
			}
		}
	}
	p.body = append(p.body, "f\n"...)
}
