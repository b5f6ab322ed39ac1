package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge/authority"
)

func authorityInitCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "make a new authority in a directory",
		Description: "In DIR it makes authority.yaml (flags of the other commands), keys/ (the signing keys, secret), the\n" +
			"database, unless another one is given, log/ with log.key (secret), log.state (never restore it from a\n" +
			"backup) and log.policy (for those who verify the issuance log), and admin.key, the account key of the\n" +
			"first administrator (secret).\n\nEXAMPLES\n" +
			"  touchmark authority init --out registry --issuer https://registry.example\n" +
			"  touchmark authority init --out registry --issuer https://registry.example --passphrase-file pass \\\n" +
			"      --database postgres://touchmark@db.example/registry",
		Flags: authorityFlags(append(trillianFlags(),
			&cli.PathFlag{Name: "out", Usage: "the `DIR` to make; it must not exist, or be empty"},
			&cli.BoolFlag{Name: "hash-subjects", Usage: "have the issuance log name subjects by hashes"},
		)...),
		Action: authorityInit,
	}
}

// A madeAuthority tells what init made, without any secret.
type madeAuthority struct {
	Dir       string `json:"dir"`
	Issuer    string `json:"issuer"`
	KeyID     string `json:"kid"`
	Account   string `json:"account"`
	AdminKey  string `json:"account_key_file"`
	LogPolicy string `json:"log_policy"`
	LogKey    string `json:"log_vkey"`
}

func authorityInit(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "out", "issuer"); err != nil {
		return err
	}
	h, err := newAuthorityHome(ctx, filepath.Clean(ctx.Path("out")))
	if err != nil {
		return err
	}
	passphrase, err := h.passphrase()
	if err != nil {
		return err
	}
	made, err := newDirectory(h.dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clearDirectory(h.dir, made))
		}
	}()
	m, err := h.make(passphrase)
	if err != nil {
		return err
	}
	return consoleOf(ctx).result(m, fmt.Sprintf("authority  %s in %s\nkey        %s\naccount    %s, administrator\nits key    %s\nlog        %s\n\nnext: touchmark authority serve --home %s --tls-cert FILE --tls-key FILE",
		m.Issuer, m.Dir, m.KeyID, m.Account, m.AdminKey, m.LogPolicy, m.Dir))
}

// newDirectory makes a directory that only its owner can read, or takes an empty
// one.
func newDirectory(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o700)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, os.ErrExist) {
		return false, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return false, err
	case len(entries) > 0:
		return false, hint(usagef("%s is not empty", dir), "an authority is begun once: choose a DIR that does not exist")
	}
	return false, os.Chmod(dir, 0o700) //nolint:gosec // a directory, for its owner alone
}

// clearDirectory takes away what a failed init made in a directory that was
// empty.
func clearDirectory(dir string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// make fills an empty directory. What others share, the database, comes last.
func (h *authorityHome) make(passphrase string) (*madeAuthority, error) {
	con := consoleOf(h.ctx)
	if err := os.Mkdir(h.file(authorityKeys), 0o700); err != nil {
		return nil, err
	}
	if err := h.writeConfig(); err != nil {
		return nil, err
	}
	m := &madeAuthority{Dir: h.dir, Issuer: h.issuer, AdminKey: h.file(authorityAdmin), LogPolicy: h.file(authorityLog) + ".policy"}
	var err error
	if m.LogKey, err = makeLog(h.ctx, h.file(authorityLog), strings.TrimPrefix(h.issuer, "https://")+"/log"); err != nil {
		return nil, err
	}
	keys, err := h.keyFiles()
	if err != nil {
		return nil, err
	}
	if m.KeyID, err = keys.Create(passphrase); err != nil {
		return nil, err
	}
	a, err := h.open(nil, func(cfg *authority.Config) { cfg.Signers = keys })
	if err != nil {
		return nil, err
	}
	secret, err := h.populate(a, m)
	if err = errors.Join(err, a.Close()); err != nil {
		return nil, err
	}
	return m, con.writeOutput(m.AdminKey, []byte(secret.Reveal()+"\n"), modeSecret, false)
}

// populate puts the first key and the first account into the database.
func (h *authorityHome) populate(a *authority.Authority, m *madeAuthority) (secret authority.Secret, err error) {
	known, err := a.Keys(h.ctx.Context)
	switch {
	case err != nil:
		return secret, err
	case len(known) > 0:
		return secret, hint(usagef("there is an authority in the database already"), "for one more node, copy the directory of the first")
	}
	if err := a.AddKey(h.ctx.Context, m.KeyID, true); err != nil {
		return secret, err
	}
	m.Account, secret, err = a.AddAccount(h.ctx.Context, "administrator", authority.ScopeAdmin)
	return secret, err
}

// writeConfig writes what the other commands are to know.
func (h *authorityHome) writeConfig() error {
	flags := map[string]any{"issuer": h.issuer}
	if d := h.ctx.String("database"); d != "" {
		if file, ok := strings.CutPrefix(d, "sqlite:"); ok {
			full, err := filepath.Abs(file)
			if err != nil {
				return err
			}
			d = "sqlite:" + full
		}
		flags["database"] = d
	}
	if name := h.ctx.Path("passphrase-file"); name != "" && name != "-" {
		full, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		flags["passphrase-file"] = full
	}
	if h.ctx.Bool("hash-subjects") {
		flags["serve"] = map[string]any{"hash-subjects": true}
	}
	text, err := yaml.Marshal(map[string]any{authorityName: flags})
	if err != nil {
		return err
	}
	text = append([]byte("# Flags of `touchmark authority` for this directory: see `touchmark authority serve --help`.\n"), text...)
	return consoleOf(h.ctx).writeOutput(h.file(authorityConfig), text, modeSecret, false)
}
