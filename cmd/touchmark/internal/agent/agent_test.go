package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// A gateway that was launched ships its records at the end. It is not killed while it may still do that, whatever it makes of
// being told to end.
func TestLaunchedServerMayEnd(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ended")
	const server = `trap "" TERM; cat >/dev/null; sleep 7; echo >"$0"` // when its input has ended
	c, err := launch(&Target{Command: []string{"sh", "-c", server, name}}).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed := c.Close()
	if _, err := os.Stat(name); err != nil {
		t.Errorf("the server was killed: %v, %v", closed, err)
	}
}
