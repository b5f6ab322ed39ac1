package logs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// Suffix is what the name of a log's directory is continued with for the file that says where Trillian is.
const Suffix = ".trillian"

const (
	maxFile  = 64 << 10
	makeTime = 30 * time.Second
	maxName  = 20 // of a tree
)

// A Trillian says where the entries of a log are: the content of DIR.trillian.
type Trillian struct {
	Server string `json:"server"` // HOST:PORT of the log server
	Tree   string `json:"tree"`   // a decimal number

	CA   string `json:"ca,omitempty"`   // PEM file; empty: without TLS, on loopback alone
	Cert string `json:"cert,omitempty"` // PEM file, for a server that asks for one
	Key  string `json:"key,omitempty"`  // its key

	// Shared says that the tree is made for several writers. That it is, the server says.
	Shared bool `json:"-"`
	// URL is where the log is served, for writers of a shared log that have no directory with its tiles.
	URL string `json:"url,omitempty"`
	// State is the URL of a PostgreSQL that keeps what was signed last for a shared log, and who signs; empty: the file
	// DIR.state does.
	State string `json:"state,omitempty"`

	// Analyze is the URL of the PostgreSQL that Trillian is on, to have its statistics made anew as the log grows.
	Analyze string `json:"analyze,omitempty"`
}

func (t *Trillian) check() error {
	if err := t.checkServer(); err != nil {
		return err
	}
	if n, err := strconv.ParseInt(t.Tree, 10, 64); err != nil || n <= 0 || strconv.FormatInt(n, 10) != t.Tree {
		return fmt.Errorf("the tree %q: want a number", t.Tree)
	}
	return nil
}

func (t *Trillian) checkServer() error {
	host, port, err := net.SplitHostPort(t.Server)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number != nil {
		return fmt.Errorf("the server %q: want HOST:PORT", t.Server)
	}
	return nil
}

// readTrillian reads DIR.trillian.
func readTrillian(dir string) (*Trillian, error) {
	name := dir + Suffix
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	text, err := durable.ReadFile(durable.OS{}, name, maxFile)
	if err != nil {
		return nil, err
	}
	t := &Trillian{}
	if err := strictjson.UnmarshalStrict(text, t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if (t.Analyze != "" || t.State != "") && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, and the way into a database in it: want 0600", name, info.Mode().Perm())
	}
	return t, nil
}

// Text returns what DIR.trillian is to hold.
func (t *Trillian) Text() ([]byte, error) {
	text, err := json.MarshalIndent(t, "", "  ")
	return append(text, '\n'), err
}

// MakeTree makes a tree at t.Server, and makes it t.Tree. The name is for people.
func (t *Trillian) MakeTree(ctx context.Context, name string) error {
	if err := t.checkServer(); err != nil {
		return err
	}
	cfg, err := t.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	create := trillianlog.CreateTree
	if t.Shared {
		create = trillianlog.CreateSharedTree
	}
	id, err := create(ctx, cfg, strings.ToValidUTF8(name[:min(len(name), maxName)], ""))
	if err != nil {
		return unavailable(err)
	}
	t.Tree = strconv.FormatInt(id, 10)
	return nil
}

// config is how t.Server is met.
func (t *Trillian) config() (*trillianlog.Config, error) {
	cfg := &trillianlog.Config{Server: t.Server}
	if (t.Cert == "") != (t.Key == "") || t.Cert != "" && t.CA == "" {
		return nil, errors.New("a client certificate needs its key, and the certificates to verify the server with")
	}
	if t.Analyze != "" {
		cfg.Analyze = t.analyze
	}
	if t.CA == "" {
		if host, _, err := net.SplitHostPort(t.Server); err != nil || !net.ParseIP(host).IsLoopback() {
			return nil, fmt.Errorf("the server %q is not on this machine: it needs TLS, and the certificates to verify it with", t.Server)
		}
		return cfg, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", t.CA)
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Cert, err)
		}
		cfg.TLS.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// analyze has PostgreSQL look at Trillian's tables anew.
func (t *Trillian) analyze(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, t.Analyze)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // done with
	for _, table := range []string{"leafdata", "sequencedleafdata"} {
		if _, err := conn.Exec(ctx, "ANALYZE "+table); err != nil {
			return err
		}
	}
	return nil
}

// DatabaseBytes returns the size of the database that t.Analyze names.
func (t *Trillian) DatabaseBytes(ctx context.Context) (size int64, err error) {
	conn, err := pgx.Connect(ctx, t.Analyze)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // done with
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
	return size, err
}
