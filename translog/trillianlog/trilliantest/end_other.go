//go:build !linux

package trilliantest

import "os/exec"

func endWithParent(*exec.Cmd) {}

func loopback() string { return "127.0.0.1" }
