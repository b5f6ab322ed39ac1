//go:build !linux

package translogtest

import "testing"

// SmallDisk returns nil: the test has no disk of its own here.
func SmallDisk(testing.TB, string) (fill func(testing.TB) (release func())) { return nil }
