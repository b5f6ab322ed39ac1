package trilliantest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes a program end with the test process, whatever ends that.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
