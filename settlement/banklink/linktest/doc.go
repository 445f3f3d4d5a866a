// Package linktest is the far end of a bank link for tests: a bank host and an
// HSM process in memory, both obedient and both faulty on demand. It speaks the
// profile through the same codec as the links do, so it shows how links behave,
// not that the codec is right; simulators/bankhost is the second opinion on the
// bytes. Keys, codes and seals here are of no cryptographic worth.
//
// Only tests import it.
package linktest
