package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	monitorTimeout  = 30 * time.Second // of one request
	monitorInterval = time.Minute
	maxMatches      = 100_000 // between two checkpoints
)

func logMonitorCommand() *cli.Command {
	return &cli.Command{
		Name: "monitor", Usage: "find what an authority did for a DID, or for a domain, in its issuance log",
		Description: "It reads every entry, verified against a checkpoint that continues the last one, and tells what is about\n" +
			"the DID, or about the domain and each did:web of it with any port and path, whether the log names them or\n" +
			"hashes of them. It ends with exit code 1 once it has told a badge, or a grant of the domain, that is not in\n" +
			"the file that --known names: by its id, or by the thumbprint of its key (see touchmark key show), which a\n" +
			"log with hashed subjects does not have. With no such file that is any.\n\nEXAMPLES\n" +
			"  touchmark log monitor --issuance did:web:agent.example --log https://registry.example/log --policy log.policy --known jtis\n" +
			"  touchmark log monitor --issuance did:web:agent.example --log https://registry.example/log --policy log.policy \\\n" +
			"      --once --state agent.checkpoint --proofs proofs --json\n" +
			"  touchmark log monitor --domain acme.com --log https://registry.example/log --policy log.policy --known keys",
		Flags: logFlags(
			&cli.StringFlag{Name: "issuance", Usage: "the `DID` to look for"},
			&cli.StringFlag{Name: "domain", Usage: "the domain `NAME` to look for"},
			&cli.PathFlag{Name: "known", Usage: "the ids of badges and grants, and the thumbprints of keys, that are expected, one a line, in `FILE`"},
			&cli.Uint64Flag{Name: "since", Usage: "begin with entry `INDEX`"},
			&cli.PathFlag{Name: "state", Usage: "keep the last checkpoint in `FILE`, and begin after it"},
			&cli.PathFlag{Name: "proofs", Usage: "write each entry found, and its proof for log verify, to `DIR`"},
			&cli.BoolFlag{Name: "once", Usage: "read up to the latest checkpoint and end"},
			&cli.DurationFlag{Name: "interval", Usage: "time between two looks", Value: monitorInterval},
			&cli.StringFlag{Name: "ca-file", Usage: "verify the log's server with the PEM certificates in `FILE` instead of the system's"},
		),
		Action: logMonitor,
	}
}

// A subjectMonitor looks for a subject in an issuance log.
type subjectMonitor struct {
	ctx     *cli.Context
	con     *console
	client  *tlogclient.Client
	about   subjects
	known   map[string]bool      // ids, and thumbprints of keys
	seen    *translog.Checkpoint // what was read so far; nil for nothing
	since   uint64
	unknown int // badges and grants found that are not known
}

// A match is an entry about the subject.
type match struct {
	Index uint64 `json:"index"`
	*authority.Entry
	Known *bool `json:"known,omitempty"` // of a badge or grant that was issued
	text  []byte
}

func logMonitor(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	m, err := newMonitor(ctx)
	if err != nil {
		return err
	}
	for {
		if err := m.look(ctx.Context); err != nil && (ctx.Bool("once") || !isUndetermined(err)) {
			return err
		} else if err != nil {
			m.con.note("%v", err)
		}
		if m.unknown > 0 {
			return hint(rejectedf("%d badges or grants of %s are not among those that are known", m.unknown, m.about),
				"if nobody of yours asked for them, report it to the authority, and have them revoked")
		}
		if ctx.Bool("once") {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(ctx.Duration("interval")):
		}
	}
}

func newMonitor(ctx *cli.Context) (*subjectMonitor, error) {
	m := &subjectMonitor{ctx: ctx, con: consoleOf(ctx), since: ctx.Uint64("since"), known: map[string]bool{}}
	var err error
	if m.about, err = readSubjects(ctx); err != nil {
		return nil, err
	}
	if ctx.Duration("interval") < time.Second {
		return nil, usagef("--interval %v is less than a second", ctx.Duration("interval"))
	}
	if ctx.Path("state") != "" && ctx.IsSet("since") {
		return nil, usagef("--state and --since exclude each other")
	}
	if name := ctx.Path("known"); name != "" {
		text, err := m.con.readInput(name)
		if err != nil {
			return nil, err
		}
		for _, id := range strings.Fields(string(text)) {
			m.known[id] = true
		}
	}
	policy, err := m.open()
	if err != nil {
		return nil, err
	}
	if name := ctx.Path("state"); name != "" && exists(name) {
		if m.seen, err = readCheckpoint(m.con, policy, name); err != nil {
			return nil, err
		}
		m.since = m.seen.Size()
	}
	return m, nil
}

// open makes the client of the log that the flags name.
func (m *subjectMonitor) open() (*translog.Policy, error) {
	client, policy, err := openLogClient(m.ctx)
	if err != nil {
		return nil, err
	}
	m.client = client
	where := m.ctx.String("log")
	if m.ctx.String("ca-file") == "" || !strings.Contains(where, "://") {
		return policy, nil
	}
	t, err := newTrust(m.ctx)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = t.roots
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: where, Client: &http.Client{
		Transport: transport, Timeout: monitorTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, malformed(err)
	}
	m.client = tlogclient.New(source, policy)
	return policy, nil
}

// look reads what was added to the log since the last time. It tells what it
// found when all of it was verified, and not before.
func (m *subjectMonitor) look(ctx context.Context) error {
	cp, err := m.client.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if m.seen != nil {
		if _, err := m.client.Consistency(ctx, m.seen, cp); err != nil {
			return err
		}
	}
	if m.since > cp.Size() {
		return undeterminedf("the log has %d entries, and --since is %d", cp.Size(), m.since)
	}
	var found []match
	var unread []uint64
	err = m.client.Scan(ctx, cp, m.since, func(index uint64, text []byte) error {
		var e authority.Entry
		if err := strictjson.Unmarshal(text, &e); err != nil || e.Version != 1 || e.Type == "" {
			unread = append(unread, index)
		} else if m.about.has(&e) {
			found = append(found, match{Index: index, Entry: &e, text: bytes.Clone(text)})
		}
		if len(found)+len(unread) > maxMatches {
			return undeterminedf("more than %d entries at once: begin later, with --since", maxMatches)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range found {
		if err := m.tell(ctx, cp, &found[i]); err != nil {
			return err
		}
	}
	read := cp.Size() - m.since
	m.seen, m.since = cp, cp.Size()
	if len(unread) > 0 {
		return undeterminedf("%d entries, from %d on, are in no form that is known here, and may be about %s", len(unread), unread[0], m.about)
	}
	m.con.note("%s: %d entries read, %d about %s", cp.Origin(), read, len(found), m.about)
	if name := m.ctx.Path("state"); name != "" && m.unknown == 0 {
		return m.con.writeOutput(name, cp.Note(), modePublic, true)
	}
	return nil
}

// tell prints an entry, and writes its proof.
func (m *subjectMonitor) tell(ctx context.Context, cp *translog.Checkpoint, f *match) error {
	text := fmt.Sprintf("%d  %s  %s  %s", f.Index, f.Time, f.Type, f.ID)
	if f.Type == authority.EntryBadgeIssued || f.Type == authority.EntryGrantIssued {
		known := m.known[f.ID] || f.Key != "" && m.known[f.Key]
		if f.Known = &known; !known {
			m.unknown++
			text += "  NOT KNOWN"
		}
	}
	if dir := m.ctx.Path("proofs"); dir != "" {
		if err := m.prove(ctx, cp, f, dir); err != nil {
			return err
		}
	}
	return m.con.result(f, text)
}

func (m *subjectMonitor) prove(ctx context.Context, cp *translog.Checkpoint, f *match, dir string) error {
	proof, err := m.client.Prove(ctx, cp, f.Index, translog.LeafHash(f.text))
	if err != nil {
		return err
	}
	text, err := proof.MarshalText()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what the log says is public
		return err
	}
	name := filepath.Join(dir, strconv.FormatUint(f.Index, 10))
	return errors.Join(
		m.con.writeOutput(name+".json", f.text, modePublic, true),
		m.con.writeOutput(name+".tlog-proof", text, modePublic, true),
	)
}
