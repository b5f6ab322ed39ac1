package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// upstream is a server without any guard, on standard input and output: the
// program `upstream` of the scripts.
func upstream() {
	if err := notesServer(os.Getenv("DESCRIPTION")).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}

type noteInput struct {
	Name string `json:"name" jsonschema:"which note"`
	Text string `json:"text,omitempty" jsonschema:"what to write"`
}

// notesServer has the tools read_note, write_note, which leaves a file, and
// fail_note, which reports that it failed. They are described in these words, or
// in some others if there are none.
func notesServer(description string) *mcp.Server {
	if description == "" {
		description = "a tool for tests"
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	addNotes(s, description)
	return s
}

// addNotes gives a server its tools, in the place of those that it has.
func addNotes(s *mcp.Server, description string) {
	add := func(name string, run func(in noteInput) (string, error)) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: description},
			func(_ context.Context, _ *mcp.CallToolRequest, in noteInput) (*mcp.CallToolResult, any, error) {
				text, err := run(in)
				if err != nil {
					return nil, nil, err
				}
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
			})
	}
	add("read_note", func(in noteInput) (string, error) { return "the note " + in.Name, nil })
	add("write_note", func(in noteInput) (string, error) {
		return "written", os.WriteFile(in.Name, []byte(in.Text), 0o600)
	})
	add("fail_note", func(noteInput) (string, error) { return "", fmt.Errorf("no such note") })
}

// listen begins to listen with TLS at localhost, where nothing is found until
// `serve` says what. It sets HOST and ORIGIN, and writes ca.pem.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: listen")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))

	site := &site{tls: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}}
	server := site.start(ts, site)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	ts.Setenv("HOST", "localhost%3A"+port)
	ts.Setenv("ORIGIN", "https://localhost:"+port)
	ts.SetCmd("serve", site.serve)
	ts.SetCmd("relay", site.relay)
}

// A site is what is served at localhost.
type site struct {
	handler atomic.Pointer[http.Handler]
	tls     *tls.Config
}

// start listens at localhost for handler.
func (s *site) start(ts *testscript.TestScript, handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.TLS = s.tls.Clone()
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refusals are what scripts are about
	server.StartTLS()
	ts.Defer(server.Close)
	return server
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := s.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// serve puts on the site what `server identity` made in DIR: its files as they
// are, and with POLICY and an AGENT the notes behind a guard, with their journal
// in DIR/journal. Without these there is nobody to prove that the files are theirs.
func (s *site) serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 && len(args) != 3 {
		ts.Fatalf("usage: serve DIR [POLICY AGENT]")
	}
	dir := ts.MkAbs(args[0])
	mux := http.NewServeMux()
	for path, name := range map[string]string{
		"/.well-known/did.json": "did.json", "/.well-known/capiscio/mcp-server.json": "mcp-server.json",
		"/servers.jwt": "servers.jwt",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			http.ServeFile(w, r, filepath.Join(dir, name))
		})
	}
	root := http.Handler(mux)
	if len(args) == 3 {
		root = guardedNotes(ts, mux, ts.Getenv("ORIGIN"), args)
	}
	s.handler.Store(&root)
}

// guardedNotes puts the notes on mux, with an identity at an origin and behind a
// guard: args are DIR POLICY AGENT.
func guardedNotes(ts *testscript.TestScript, mux *http.ServeMux, origin string, args []string) http.Handler {
	dir := ts.MkAbs(args[0])
	id, err := readIdentity(newConsole(nil, io.Discard, io.Discard), dir)
	ts.Check(err)
	identity, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: id.DID, Badge: serververify.StaticBadge(id.Badge), Signer: id.Key, KeyID: id.KeyID, Origins: []string{origin},
	})
	ts.Check(err)
	server := notesServer("")
	ts.SetCmd("describe", func(ts *testscript.TestScript, _ bool, args []string) { addNotes(server, strings.Join(args, " ")) })
	mcpverify.Disclose(server, identity)
	adapter := mcpguard.Protect(server, notesGuard(ts, &id, dir, args[1], args[2]))
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mux.Handle("/mcp", adapter.Handler(handler))
	return identity.Handler(mux)
}

func notesGuard(ts *testscript.TestScript, id *guarded.Identity, dir, rules, agent string) *guard.Guard {
	p, err := policy.Parse([]byte(ts.ReadFile(rules)))
	ts.Check(err)
	d, err := did.Parse(agent)
	ts.Check(err)
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{d}, Audience: []string{id.DID.String()}})
	ts.Check(err)
	proofs, err := pop.NewVerifier(&pop.Config{Server: id.DID, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{})})
	ts.Check(err)
	ledger, err := evidence.Open(context.Background(), &evidence.LedgerConfig{
		Dir: filepath.Join(dir, "journal"), Server: id.DID, Key: id.Key, KeyID: id.KeyID, AllowNoLog: true,
	})
	ts.Check(err)
	ts.Defer(func() { ts.Check(ledger.Close(context.Background())) })
	g, err := guard.New(&guard.Config{Server: id.DID, Badges: badges, Proofs: proofs, Policy: p, Evidence: ledger})
	ts.Check(err)
	return g
}

// start runs touchmark in the background until the script is over, and waits for
// what it says on standard error, which goes to the file VAR.log: start VAR
// REGEXP ARG... puts what the group in REGEXP matches into VAR. `stop-VAR` then
// ends it as a shell would. (`stop` is a command of testscript: it ends the script.)
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start VAR REGEXP ARG...")
	}
	cmd := exec.Command(programPath(ts, "touchmark"), args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "GORACE="+ts.Getenv("GORACE"))
	_, err := cmd.StdinPipe() // stays open until the program ends
	ts.Check(err)
	out, err := cmd.StderrPipe()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	ts.Check(err)
	ts.Check(cmd.Start())
	ended := false
	var drained chan struct{} // what it says later is read, or it would stand still when the pipe is full
	end := func(how os.Signal) error {
		ended = true
		_ = cmd.Process.Signal(how)
		if drained != nil {
			<-drained
		} else {
			_, _ = io.Copy(log, out)
		}
		return errors.Join(cmd.Wait(), log.Close())
	}
	ts.Defer(func() {
		if !ended {
			_ = end(os.Kill)
		}
	})
	ts.SetCmd("stop-"+args[0], func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(end(syscall.SIGTERM)) })
	said := bufio.NewScanner(io.TeeReader(out, log))
	pattern := regexp.MustCompile(args[1])
	for said.Scan() {
		if found := pattern.FindStringSubmatch(said.Text()); len(found) == 2 {
			ts.Setenv(args[0], found[1])
			drained = make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(log, out)
			}()
			return
		}
		ts.Logf("%s", said.Text())
	}
	ts.Fatalf("%v ended before it said %q", args[2:], args[1])
}

func programPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	ts.Fatalf("no program %s", name)
	return ""
}
