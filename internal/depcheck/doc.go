// Package depcheck holds the import graph of this module to a list: which
// package may import which other of ours, and which other modules each may
// bring into a user's program. The list is data in the package's test, and a
// package that it does not name fails the test.
package depcheck
