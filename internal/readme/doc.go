// Package readme compiles the Go code that README.md shows: its test holds each
// block there to the region of the same name in example_test.go.
package readme
