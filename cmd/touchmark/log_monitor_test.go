package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// An issuanceLog is a log that a test writes to.
type issuanceLog struct {
	t   *testing.T
	dir string
	log *tesseralog.Log
}

func newIssuanceLog(t *testing.T) *issuanceLog {
	t.Helper()
	skey, _, err := translog.GenerateKey("registry.example/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := &tesseralog.Config{Dir: filepath.Join(dir, "log"), StatePath: filepath.Join(dir, "log.state"), Signer: signer}
	if err := tesseralog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l, err := tesseralog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeLog(l) })
	return &issuanceLog{t, cfg.Dir, l}
}

func (l *issuanceLog) add(entries ...any) {
	l.t.Helper()
	var texts [][]byte
	for _, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			l.t.Fatal(err)
		}
		texts = append(texts, text)
	}
	first, err := l.log.Append(l.t.Context(), texts)
	if err == nil {
		_, err = l.log.AwaitPublished(l.t.Context(), first+uint64(len(texts))-1)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func issuedEntry(id, subject string) *authority.Entry {
	return &authority.Entry{Version: 1, Type: authority.EntryBadgeIssued, ID: id, Issuer: "https://registry.example", Subject: subject, By: "k"}
}

func newTestMonitor(t *testing.T, l *issuanceLog, args ...string) (*subjectMonitor, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	con := newConsole(nil, out, io.Discard)
	set := flag.NewFlagSet("monitor", flag.ContinueOnError)
	for _, f := range logMonitorCommand().Flags {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &subjectMonitor{
		ctx: cli.NewContext(newApp(con), set, nil), con: con, about: oneSubject{did.MustParse("did:web:agent.example")},
		client: tlogclient.New(tlogclient.Dir(l.dir), l.log.Policy()), known: map[string]bool{"known": true},
	}, out
}

func TestMonitorFinds(t *testing.T) {
	l := newIssuanceLog(t)
	hashed := issuedEntry("hashed", "")
	hashed.SubjectHash = authority.SubjectHash(hashed.Issuer, "did:web:agent.example")
	elsewhere := issuedEntry("elsewhere", "")
	elsewhere.SubjectHash = authority.SubjectHash("https://other.example", "did:web:agent.example")
	l.add(issuedEntry("known", "did:web:agent.example"), issuedEntry("not-mine", "did:web:agent.example:other"))
	state := filepath.Join(t.TempDir(), "state")
	m, out := newTestMonitor(t, l, "--state", state)
	if err := m.look(t.Context()); err != nil || m.unknown != 0 {
		t.Fatalf("%v, %d unknown", err, m.unknown)
	}
	if text := out.String(); !strings.Contains(text, "known") || strings.Contains(text, "not-mine") || strings.Contains(text, "NOT KNOWN") {
		t.Errorf("told %q", text)
	}
	before, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	l.add(hashed, elsewhere)
	out.Reset()
	if err := m.look(t.Context()); err != nil || m.unknown != 1 {
		t.Fatalf("%v, %d unknown", err, m.unknown)
	}
	if text := out.String(); !strings.Contains(text, "hashed  NOT KNOWN") || strings.Contains(text, "elsewhere") {
		t.Errorf("told %q", text)
	}
	// It is told again until somebody has dealt with it.
	if after, err := os.ReadFile(state); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the state went past a badge that is not known: %v", err)
	}
}

// What cannot be read may hide a badge.
func TestMonitorCannotTell(t *testing.T) {
	later := issuedEntry("later", "did:web:agent.example")
	later.Version = 2
	for name, entry := range map[string]any{"version": later, "shape": []int{1}, "type": &authority.Entry{Version: 1}} {
		l := newIssuanceLog(t)
		l.add(issuedEntry("known", "did:web:agent.example"), entry)
		m, out := newTestMonitor(t, l)
		if err := m.look(t.Context()); codeOf(err) != exitUndetermined {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), "known") {
			t.Errorf("%s: what could be read was not told: %q", name, out)
		}
	}
}

// Nothing of a log that contradicts its checkpoint is told.
func TestMonitorRefusesForgery(t *testing.T) {
	l := newIssuanceLog(t)
	l.add(issuedEntry("known", "did:web:agent.example"))
	name := filepath.Join(l.dir, "tile", "entries", "000.p", "1")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte("known"), []byte("knowm"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	m, out := newTestMonitor(t, l)
	if err := m.look(t.Context()); codeOf(err) != exitRejected || out.Len() > 0 {
		t.Errorf("%v, told %q", err, out)
	}
}

// A monitor of a domain finds its DIDs with any port and path, grants, and their
// hashes, and nothing of domains beside, below or above it.
func TestMonitorOfDomain(t *testing.T) {
	const issuer = "https://registry.example"
	hash := func(name string) string { return authority.SubjectHash(issuer, name) }
	about := &domainSubjects{name: "acme.com", hashes: map[string]map[string]bool{}}
	for _, e := range []*authority.Entry{
		{Subject: "did:web:acme.com"}, {Subject: "did:web:acme.com%3A8443"}, {Subject: "did:web:acme.com%3a8443:agents:ada"},
		{Subject: "did:web:acme.com:agents:ada"}, {Subject: "did:web:registry.example:agents:ada", Domain: "acme.com"},
		{HostHash: hash("acme.com")}, {HostHash: hash("acme.com:8443")}, {HostHash: hash("acme.com:65535")},
		{HostHash: hash("registry.example"), DomainHash: hash("acme.com")}, {DomainHash: hash("acme.com")},
	} {
		if e.Issuer = issuer; !about.has(e) {
			t.Errorf("not found: %+v", e)
		}
	}
	for _, e := range []*authority.Entry{
		{}, {Subject: "did:web:acme.com.example"}, {Subject: "did:web:xacme.com"}, {Subject: "did:web:x.acme.com"},
		{Subject: "did:web:com"}, {Subject: "did:key:acme.com"}, {Domain: "x.acme.com"}, {HostHash: hash("x.acme.com")},
		{HostHash: authority.SubjectHash("https://other.example", "acme.com")}, {SubjectHash: hash("acme.com")},
	} {
		if e.Issuer = issuer; about.has(e) {
			t.Errorf("found: %+v", e)
		}
	}
	for i := range 3 * maxIssuers {
		about.has(&authority.Entry{Issuer: "https://i" + strconv.Itoa(i) + ".example", HostHash: "x"})
	}
	if len(about.hashes) > maxIssuers {
		t.Errorf("hashes for %d issuers", len(about.hashes))
	}
}

// A badge or grant is known by its id, or by its key; who looks for one DID is
// told of grants that are not, too.
func TestMonitorKnowsKeys(t *testing.T) {
	l := newIssuanceLog(t)
	byKey, stranger := issuedEntry("a", "did:web:agent.example"), issuedEntry("b", "did:web:agent.example")
	byKey.Key, stranger.Key = "known", "other"
	grant := &authority.Entry{Version: 1, Type: authority.EntryGrantIssued, ID: "c", Issuer: byKey.Issuer, Domain: "agent.example", Key: "other", By: "k"}
	l.add(byKey, stranger, grant)
	m, out := newTestMonitor(t, l)
	m.about = &domainSubjects{name: "agent.example", hashes: map[string]map[string]bool{}}
	if err := m.look(t.Context()); err != nil || m.unknown != 2 {
		t.Errorf("%v, %d unknown: %s", err, m.unknown, out)
	}
}
