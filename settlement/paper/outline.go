package paper

import "fmt"

// Bounds of one outline. The format itself allows 10 levels of subroutines and
// 48 operands; the longest outline of Noto Sans CJK has some 3,000 bytes.
const (
	maxLevels  = 10
	maxOutline = 64 << 10
	maxSteps   = 64 << 10 // numbers and operators, those of empty subroutines too
)

// outliner copies an outline and puts the body of each subroutine where it is
// called.
type outliner struct {
	out             []byte
	stack           []operand
	stems, steps    int
	globals, locals index
	done            bool
}

// operand is a number on the stack and where its bytes begin in the copy.
type operand struct{ value, at int }

// flat gives an outline without calls.
func (c *cff) flat(code table, locals index) ([]byte, error) {
	o := &outliner{globals: c.globals, locals: locals}
	if err := o.run(code, 0); err != nil {
		return nil, err
	}
	if !o.done {
		return nil, fmt.Errorf("%w: an outline without an end", ErrFont)
	}
	return o.out, nil
}

// run copies one body.
func (o *outliner) run(code table, level int) error {
	if level > maxLevels {
		return fmt.Errorf("%w: subroutines deeper than %d levels", ErrFont, maxLevels)
	}
	for at := 0; at < len(code) && !o.done; {
		if o.steps++; len(o.out) > maxOutline || o.steps > maxSteps {
			return fmt.Errorf("%w: an outline longer than %d bytes or steps", ErrFont, maxOutline)
		}
		b := code.u8(at)
		if b == 28 || b >= 32 {
			v, n := outlineNumber(code, at)
			raw, ok := code.cut(at, n)
			if !ok || len(o.stack) == maxOperands {
				return fmt.Errorf("%w: a number of an outline", ErrFont)
			}
			o.stack = append(o.stack, operand{v, len(o.out)})
			o.out = append(o.out, raw...)
			at += n
			continue
		}
		if b == 11 { // return
			return nil
		}
		n, err := o.operator(code, at, b, level)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

func outlineNumber(code table, at int) (v, n int) {
	if code.u8(at) == 255 {
		return signed(code.u16(at + 1)), 5 // and a fraction: never the number of a subroutine
	}
	return dictNumberOf(code, at)
}

// dictNumberOf is dictNumber for outlines, where 251 to 254 are negative as well
// and 29 and 30 are operators.
func dictNumberOf(code table, at int) (v, n int) {
	if b := code.u8(at); b >= 29 && b <= 31 {
		return 0, 0
	}
	return dictNumber(code, at)
}

// operator copies one operator and tells how many bytes it took.
func (o *outliner) operator(code table, at, b, level int) (int, error) {
	n := 1
	switch b {
	case 10, 29: // callsubr, callgsubr
		list := o.locals
		if b == 29 {
			list = o.globals
		}
		return n, o.call(list, level)
	case 1, 3, 18, 23: // hstem, vstem, hstemhm, vstemhm
		o.stems += len(o.stack) / 2
	case 19, 20: // hintmask, cntrmask
		o.stems += len(o.stack) / 2
		n += (o.stems + 7) / 8
	case 14: // endchar
		o.done = true
	case 12:
		if op := code.u8(at + 1); op < 34 || op > 37 { // but hflex, flex, hflex1, flex1
			return 0, fmt.Errorf("%w: an outline that computes (12 %d)", ErrFont, op)
		}
		n = 2
	}
	raw, ok := code.cut(at, n)
	if !ok {
		return 0, fmt.Errorf("%w: an outline is cut short", ErrFont)
	}
	o.out, o.stack = append(o.out, raw...), o.stack[:0]
	return n, nil
}

// call puts a subroutine's body in place of its number.
func (o *outliner) call(list index, level int) error {
	if len(o.stack) == 0 {
		return fmt.Errorf("%w: a call without a number", ErrFont)
	}
	last := o.stack[len(o.stack)-1]
	o.stack, o.out = o.stack[:len(o.stack)-1], o.out[:last.at]
	bias := 107
	switch {
	case list.len() >= 33900:
		bias = 32768
	case list.len() >= 1240:
		bias = 1131
	}
	i := last.value + bias
	if i < 0 || i >= list.len() {
		return fmt.Errorf("%w: subroutine %d of %d", ErrFont, i, list.len())
	}
	return o.run(list.get(i), level+1)
}
