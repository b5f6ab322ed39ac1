package trilliantest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// endWithParent makes a program end with the test process, whatever ends that.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// loopback is an address of this machine that no other test process uses: a port that was free stays free.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x7f, pid>>8&0xff, pid&0xff)
}
