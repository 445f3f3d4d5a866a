// Package printer plays an 80 mm thermal receipt printer: it interprets ESC/POS
// bytes, answers real-time status requests, draws the paper that comes out, and
// has the faults of a real one (paper low, paper out, jam, cutter, offline, a
// printer that says nothing).
//
// [Interpret] turns bytes into a [Paper]; [Paper.SVG] draws it. [Server] listens
// on a socket as a device would and keeps the papers for the demo's panel and
// for tests.
//
// Left out: fonts B and C, raster graphics, code pages other than GB 18030, the
// cash drawer. An unknown command is an error, so that a layout that uses one is
// found by a test and not by a printer.
package printer
