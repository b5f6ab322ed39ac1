package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// trustFlags say whose badges are accepted. The commands that judge badges
// share them.
func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "issuer", Usage: "accept badges of the issuer `URL`, with its keys fetched; URL=JWKS.json takes them from a file"},
		&cli.StringSliceFlag{Name: "trust-self-signed", Usage: "accept the level 0 badges that `DID`, a did:key, signs for itself"},
		&cli.StringSliceFlag{Name: "revocations", Usage: "a synced revocation list, from `FILE`, in place of asking its issuer"},
		&cli.BoolFlag{Name: "unsafe-no-status", Usage: "accept badges without asking whether they were revoked"},
		&cli.StringSliceFlag{Name: "allow-es256", Usage: "let the issuer `URL` sign with P-256"},
		&cli.StringSliceFlag{Name: "did-document", Usage: "take a DID document from `FILE`; no other one is fetched for its DID"},
		&cli.StringFlag{Name: "ca-file", Usage: "verify TLS servers with the PEM certificates in `FILE` instead of the system's"},
		&cli.BoolFlag{Name: "insecure-loopback", Usage: "allow servers at loopback addresses, for development"},
	}
}

// trust is what the trust flags say.
type trust struct {
	ctx      *cli.Context
	audience []string
	at       func() time.Time // nil: now
	compat   bool
	roots    *x509.CertPool
	resolver did.Resolver
	client   *client.Client // nil: nothing is fetched from issuers

	telemetry *telemetry.Telemetry // of the guard, nil if there is none or nobody looks
	metrics   []func(io.Writer) error
}

func newTrust(ctx *cli.Context) (*trust, error) {
	t := &trust{ctx: ctx}
	if name := ctx.String("ca-file"); name != "" {
		text, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		t.roots = x509.NewCertPool()
		if !t.roots.AppendCertsFromPEM(text) {
			return nil, usagef("%s holds no PEM certificate", name)
		}
	}
	return t, t.makeResolver()
}

// close stops what the trust started.
func (t *trust) close() {
	if t.client != nil {
		t.client.Close()
	}
}

func (t *trust) makeResolver() error {
	loopback := t.ctx.Bool("insecure-loopback")
	web, err := did.NewResolver(&did.ResolverConfig{UnsafeAllowLoopback: loopback, RootCAs: t.roots})
	if err != nil {
		return err
	}
	files := did.StaticResolver{}
	for _, name := range t.ctx.StringSlice("did-document") {
		doc, err := readDocument(consoleOf(t.ctx), name)
		if err != nil {
			return err
		}
		files[doc.ID] = doc
	}
	t.resolver = &layeredResolver{files: files, web: web}
	return nil
}

// A layeredResolver answers from documents that were given, and asks the web for
// the rest.
type layeredResolver struct {
	files did.StaticResolver
	web   did.Resolver
}

func (r *layeredResolver) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	if _, ok := r.files[d]; ok {
		return r.files.Resolve(ctx, d)
	}
	return r.web.Resolve(ctx, d)
}

// readDocument reads a DID document for whatever DID it says it is.
func readDocument(con *console, name string) (*did.Document, error) {
	text, err := con.readInput(name)
	if err != nil {
		return nil, err
	}
	var head struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, usagef("%s is no DID document: %v", name, err)
	}
	id, err := did.Parse(head.ID)
	if err != nil {
		return nil, usagef("%s is no DID document: %v", name, err)
	}
	doc, err := did.ParseDocument(text, id)
	return doc, malformed(err)
}

// badges makes the verifier that the flags describe.
func (t *trust) badges() (*badge.Verifier, error) {
	cfg := &badge.Config{
		Audience: t.audience, Resolver: t.resolver, Time: t.at,
		Compat: t.compat, UnsafeNoStatus: t.ctx.Bool("unsafe-no-status"), AllowES256: t.ctx.StringSlice("allow-es256"),
	}
	for _, text := range t.ctx.StringSlice("trust-self-signed") {
		d, err := did.Parse(text)
		if err != nil {
			return nil, malformed(err)
		}
		cfg.SelfSigned = append(cfg.SelfSigned, d)
	}
	if err := t.issuers(cfg); err != nil {
		return nil, err
	}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		return nil, hint(malformed(err), "%s", advice(cfg))
	}
	return v, nil
}

// advice says what is missing in a configuration that was refused.
func advice(cfg *badge.Config) string {
	if len(cfg.Issuers) > 0 && cfg.Status == nil {
		return "say where revocations are known: --revocations FILE, or --issuer URL without a file, which asks the issuer"
	}
	return "name whom to trust with --issuer or --trust-self-signed"
}

// issuers fills in whom cfg trusts, and where keys and status come from.
func (t *trust) issuers(cfg *badge.Config) error {
	files := map[string]string{}
	var online []string
	for _, text := range t.ctx.StringSlice("issuer") {
		url, file, isFile := strings.Cut(text, "=")
		cfg.Issuers = append(cfg.Issuers, url)
		if isFile {
			files[url] = file
		} else {
			online = append(online, url)
		}
	}
	if len(cfg.Issuers) == 0 {
		return nil
	}
	if len(online) == 0 {
		keys, err := client.FileKeys(files)
		if err != nil {
			return hint(keySetError(err), "--issuer takes URL=FILE with a JSON Web Key Set in FILE")
		}
		cfg.Keys = keys
	} else if err := t.makeClient(cfg, online, files); err != nil {
		return err
	}
	return t.status(cfg)
}

// keySetError tells a key set that is not there from one that is malformed.
func keySetError(err error) error {
	if is[*fs.PathError](err) {
		return err
	}
	return malformed(err)
}

func (t *trust) makeClient(cfg *badge.Config, online []string, files map[string]string) error {
	c, err := client.New(&client.Config{
		Issuers: online, KeyFiles: files, UnsafeAllowLoopback: t.ctx.Bool("insecure-loopback"), RootCAs: t.roots,
	})
	if err != nil {
		return keySetError(err)
	}
	t.client = c
	cfg.Keys = c
	if !cfg.UnsafeNoStatus {
		cfg.Status = c
	}
	return nil
}

// status puts revocation lists in the place of asking their issuers.
func (t *trust) status(cfg *badge.Config) error {
	names := t.ctx.StringSlice("revocations")
	if len(names) == 0 {
		return nil
	}
	cfg.UnsafeNoStatus = false // a list that was given is heeded
	byIssuer := badge.StatusByIssuer{}
	if cfg.Status != nil {
		for _, issuer := range cfg.Issuers {
			byIssuer[issuer] = cfg.Status
		}
	}
	for _, name := range names {
		list, err := t.revocations(cfg, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		byIssuer[list.Issuer()] = list
	}
	cfg.Status = byIssuer
	return nil
}

// revocations reads a list that one of the issuers signed.
func (t *trust) revocations(cfg *badge.Config, name string) (*badge.RevocationList, error) {
	text, err := consoleOf(t.ctx).readInput(name)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(text))
	var last error
	for _, issuer := range cfg.Issuers {
		keys, err := cfg.Keys.IssuerKeys(t.ctx.Context, issuer)
		if err != nil {
			return nil, err
		}
		list, err := badge.ParseRevocationList(token, issuer, keys)
		if err == nil {
			return list, nil
		}
		last = err
	}
	return nil, malformed(last)
}
