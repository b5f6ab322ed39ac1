package peers

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real filesystem server starts and answers, so that a test which fails
// further up does not fail because of the installation.
func TestFilesystemServerStarts(t *testing.T) {
	cmd := exec.Command(Node(t), Script(t, "@modelcontextprotocol/server-filesystem"), t.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cmd.Wait() //nolint:errcheck // the answer was judged
	}()
	const request = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"peers","version":"1"}}}` + "\n"
	if _, err := in.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result struct {
			ServerInfo struct{ Name string }
		}
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatal(err)
	}
	if got, want := answer.Result.ServerInfo.Name, "secure-filesystem-server"; got != want {
		t.Errorf("server is called %q, want %q", got, want)
	}
}

// Every dependency of package.json is installed in the version it names, and
// node is one that the conformance suite runs on.
func TestInstalled(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(Dir(t), "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var project struct{ Dependencies map[string]string }
	if err := json.Unmarshal(data, &project); err != nil {
		t.Fatal(err)
	}
	for name, want := range project.Dependencies {
		data, err := os.ReadFile(filepath.Join(Package(t, name), "package.json"))
		if err != nil {
			t.Fatal(err)
		}
		var installed struct{ Version string }
		if err := json.Unmarshal(data, &installed); err != nil {
			t.Fatal(err)
		}
		if installed.Version != want {
			t.Errorf("%s is installed in version %s, want %s; run: make npm", name, installed.Version, want)
		}
	}
	out, err := exec.Command(Node(t), "-p", "typeof fs.globSync").Output()
	if err != nil || strings.TrimSpace(string(out)) != "function" {
		t.Errorf("node has no fs.globSync (%q, %v), which the conformance suite needs; use Node 22", out, err)
	}
}

// The lock file must not say which registry it was made with.
func TestLockFileNamesNoRegistry(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(Dir(t), "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), `"resolved"`) {
		t.Error(`package-lock.json has "resolved" members; remake it with the .npmrc beside it`)
	}
}

func TestCommand(t *testing.T) {
	for _, test := range []struct{ name, manifest, want string }{
		{"a path", `{"bin":"x.js"}`, "x.js"},
		{"an only command", `{"bin":{"other":"x.js"}}`, "x.js"},
		{"the package's own name", `{"bin":{"a":"a.js","pkg":"b.js"}}`, "b.js"},
		{"no command", `{}`, ""},
		{"none of several", `{"bin":{"a":"a.js","b":"b.js"}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(test.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := command(dir, "@scope/pkg")
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("command = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// A port is nobody's until it is asked for, and can be asked for again.
func TestPort(t *testing.T) {
	addr := "127.0.0.1:" + Port(t)
	for range 3 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Error("somebody listens already")
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
}
