package pin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bePinner makes this test binary a program that pins servers in a file, and
// then looks them up.
const bePinner = "-be-a-pinner"

func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != bePinner {
		os.Exit(m.Run())
	}
	if err := pinSome(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const pinsEach = 12

func pinSome(path, name string) error {
	s, err := Open(path, &Config{Mode: TrustOnFirstUse, Time: func() time.Time { return start }})
	if err != nil {
		return err
	}
	for i := range pinsEach {
		srv := example()
		srv.Endpoint = fmt.Sprintf("https://mcp.example.com/%s/%d", name, i)
		for range 2 {
			if err := s.Admit(context.Background(), srv); err != nil {
				return err
			}
		}
	}
	return nil
}

// Processes that change one file at the same time lose nothing of each other.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known-servers")
	var running []*exec.Cmd
	for _, name := range []string{"a", "b", "c", "d"} {
		cmd := exec.Command(os.Args[0], bePinner, path, name)
		cmd.Stderr = new(strings.Builder)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, cmd.Stderr)
		}
	}
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if pins, err := s.List(); err != nil || len(pins) != len(running)*pinsEach {
		t.Errorf("%d pins, %v", len(pins), err)
	}
}
