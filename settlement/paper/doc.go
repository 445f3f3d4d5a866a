// Package paper makes PDF files of pages with text and bars: what an agency
// prints by the thousand.
//
// A Doc is written as it grows, page by page, so that a file of any length needs
// the memory of one page. It has one Font, read from an OpenType file with CFF
// outlines, such as Noto Sans CJK of Debian's fonts-noto-cjk; at the end the
// characters that were used, and no others, are put into the file. Characters
// beyond U+FFFF are characters like all others. Text can be searched and copied.
//
// Lengths are whole tenths of a millimetre and y grows downwards from the top
// edge: layouts are plain numbers, the same on every machine. The same pages give
// the same bytes.
//
// Left out: pictures, colours but black and grey, kerning, writing from right to
// left, fonts with TrueType outlines, encryption.
package paper
