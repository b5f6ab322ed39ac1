package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// Where a journal's vault is unless flags say otherwise, and the master key in it.
const (
	vaultSuffix   = ".vault"
	masterKeyName = "master.key"
)

// vaultFlags name the vault of a journal.
func vaultFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "vault", Usage: "the vault with the keys of private parts, `DIR`; without it the one beside the journal, with .vault behind its name"},
		&cli.PathFlag{Name: "vault-key", Usage: "the master key of the vault, an age identity in `FILE`; without it master.key in the vault"},
	}
}

// keepFlags say what a gateway keeps of its journal, and how long.
func keepFlags() []cli.Flag {
	return append(vaultFlags(),
		&cli.BoolFlag{Name: "keep-parameters", Usage: "keep the parameters of calls, sealed, so that evidence disclose needs no --args"},
		&cli.DurationFlag{Name: "salt-retention", Usage: "erase salts, badges and call proofs older than `TIME`, by whole days in UTC, so that some stay a day longer: 2160h"},
		&cli.DurationFlag{Name: "journal-retention", Usage: "remove records older than `TIME` from the journal, once --log has been proven to have them"},
		recordLossFlag(),
		&cli.StringFlag{Name: "journal-quota", Usage: "refuse calls rather than let the journal be larger than `SIZE`: 500M, 20G"},
	)
}

func recordLossFlag() cli.Flag {
	return &cli.BoolFlag{Name: "allow-record-loss", Usage: "remove them also where the log has their digests alone: nobody has them then but who made copies"}
}

// mayLose refuses to remove records from a journal that its log does not have.
func mayLose(ctx *cli.Context, form evidence.LogForm) error {
	if form != evidence.FormDigest || ctx.Bool("allow-record-loss") {
		return nil
	}
	return hint(usagef("the log has digests alone: records that are removed from the journal are nowhere then"),
		"export them first: touchmark evidence export. --allow-record-loss says that they may be lost")
}

// retainCommands are those of touchmark evidence that take something away.
func retainCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "erase", Usage: "erase salts, badges and call proofs: of all calls before a time, of single records, of a caller",
			Description: "The records stay in the journal and in the log, and verify as before: what they commit to cannot be opened\n" +
				"any more. With --before the keys of the days that had ended are destroyed, also while a gateway runs; what is\n" +
				"left is erased from the files of the journal, which no gateway may have open.\n\nEXAMPLES\n" +
				"  touchmark evidence erase --evidence journal --before 2026-08-01T00:00:00Z\n" +
				"  touchmark evidence erase --evidence journal --subject did:key:z6Mk...",
			Flags: append(vaultFlags(), evidenceFlag(),
				&cli.StringFlag{Name: "before", Usage: "what was recorded before `TIME`: Unix seconds or RFC 3339"},
				&cli.StringSliceFlag{Name: "id", Usage: "of the decision `ID`, and of its outcome"},
				&cli.StringFlag{Name: "subject", Usage: "of all calls of the agent `DID`; a badge that was refused is believed about whose it is, and is erased too"},
			),
			Action: evidenceErase,
		},
		{
			Name: "compact", Usage: "give back the space of private parts whose keys were destroyed",
			Description: "EXAMPLE\n  touchmark evidence compact --evidence journal",
			Flags:       append(vaultFlags(), evidenceFlag()),
			Action:      evidenceCompact,
		},
		{
			Name: "retain", Usage: "remove old records from the journal that the log has been proven to have",
			Description: "Whole files are removed, the last 256 records stay, and the file head says where the journal begins. A gateway\n" +
				"does this by itself with --journal-retention. A log of digests has none of the records: only who has copies, of\n" +
				"evidence export, has them then.\n\nEXAMPLE\n" +
				"  touchmark evidence retain --evidence journal --log log --older-than 2160h",
			Flags: []cli.Flag{
				evidenceFlag(),
				&cli.PathFlag{Name: "log", Usage: "the log of the journal, `DIR`, or trillian://HOST:PORT/TREE?dir=DIR"},
				&cli.DurationFlag{Name: "older-than", Usage: "remove what is older than `TIME`"},
				recordLossFlag(),
			},
			Action: evidenceRetain,
		},
		{
			Name: "vault", Usage: "make and list the keys of private parts",
			Subcommands: []*cli.Command{
				{
					Name: "key", Usage: "make a master key, an age identity, in a file that only its owner can read",
					Description: "EXAMPLE\n  touchmark evidence vault key --out /safe/master.key",
					Flags:       []cli.Flag{outFlag(), forceFlag()},
					Action:      evidenceVaultKey,
				},
				{
					Name: "list", Usage: "list the days of which there is a key",
					Description: "EXAMPLE\n  touchmark evidence vault list --vault journal.vault",
					Flags:       vaultFlags()[:1],
					Action:      evidenceVaultList,
				},
			},
		},
	}
}

// vaultPlace returns where the vault of a journal and its master key are.
func vaultPlace(ctx *cli.Context) (dir, key string) {
	if dir = ctx.Path("vault"); dir == "" {
		dir = filepath.Clean(ctx.Path("evidence")) + vaultSuffix
	}
	if key = ctx.Path("vault-key"); key == "" {
		key = filepath.Join(dir, masterKeyName)
	}
	return dir, key
}

// openVault opens the vault of a journal that is there.
func openVault(ctx *cli.Context) (*vault.Vault, error) {
	dir, key := vaultPlace(ctx)
	if _, err := os.Stat(dir); err != nil {
		return nil, hint(err, "name the vault with --vault")
	}
	return readVault(dir, key)
}

func readVault(dir, key string) (*vault.Vault, error) {
	info, err := os.Stat(key)
	if err != nil {
		return nil, hint(err, "name the master key with --vault-key")
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > vault.MaxMasterKeyBytes {
		return nil, hint(usagef("%s is not a master key that its owner alone can read", key), "chmod 600 %s", key)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	wrapper, err := vault.ParseMasterKey(text)
	if err != nil {
		return nil, malformed(fmt.Errorf("%s: %w", key, err))
	}
	return vault.Open(&vault.Config{Dir: dir, Wrapper: wrapper})
}

// makeVault opens the vault of a gateway. Without flags it is made beside the journal, with a master key of its own: then
// private parts can be erased from the first record on.
func makeVault(dir, key string, named bool) (*vault.Vault, error) {
	if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
		return nil, err
	}
	if !named {
		if err := makeMasterKey(dir, key); err != nil {
			return nil, err
		}
	}
	return readVault(dir, key)
}

// makeMasterKey makes the master key of a new vault. Several gateways may begin at once, and have to have one.
func makeMasterKey(dir, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), vaultPatience)
	defer cancel()
	lock, err := durable.AwaitLock(ctx, durable.OS{}, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keys, err := vault.List(dir)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return hint(undeterminedf("the vault %s has keys, and not the master key that they are under", dir),
			"name it with --vault-key, or put it back as %s", key)
	}
	text, err := vault.NewMasterKey()
	if err != nil {
		return err
	}
	return durable.WriteFile(durable.OS{}, key, text)
}

// vaultPatience is how long another gateway may take to make a master key.
const vaultPatience = 10 * time.Second

// gatewayKeeps reads what the gateway is to keep.
func gatewayKeeps(ctx *cli.Context, cfg *guarded.Config) error {
	quota, err := parseSize(ctx.String("journal-quota"))
	if err != nil {
		return err
	}
	if ctx.IsSet("journal-quota") && quota < evidence.MinJournalBytes {
		return usagef("--journal-quota %s: a journal takes %d bytes at least", ctx.String("journal-quota"), evidence.MinJournalBytes)
	}
	cfg.MaxJournalBytes = quota
	for flag, into := range map[string]*time.Duration{"salt-retention": &cfg.PrivateRetention, "journal-retention": &cfg.Retention} {
		*into = ctx.Duration(flag)
		if ctx.IsSet(flag) && *into <= 0 {
			return usagef("--%s %s is no time that something can be kept for", flag, *into)
		}
	}
	if cfg.Retention > 0 && ctx.Path("log") == "" {
		return usagef("--journal-retention without --log: records are removed only when a log has them")
	}
	cfg.KeepParameters, cfg.AllowRecordLoss = ctx.Bool("keep-parameters"), ctx.Bool("allow-record-loss")
	dir, key := vaultPlace(ctx)
	cfg.Vault = func() (evidence.Vault, error) { return makeVault(dir, key, ctx.IsSet("vault-key")) }
	return nil
}

// parseSize reads a number of bytes: 1000, 500M, 20G, with the binary meaning of K, M, G and T.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits, shift := text, 0
	if i := strings.IndexByte("KMGT", text[len(text)-1]); i >= 0 {
		digits, shift = text[:len(text)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<60>>shift {
		return 0, usagef("--journal-quota %q: want a number of bytes, or one with K, M, G or T behind it", text)
	}
	return n << shift, nil
}

func evidenceRetain(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "evidence", "log", "older-than"); err != nil {
		return err
	}
	age := ctx.Duration("older-than")
	if age <= 0 {
		return usagef("--older-than %s is no age", age)
	}
	cfg := &evidence.RetainConfig{Dir: ctx.Path("evidence"), Before: time.Now().Add(-age), AllowRecordLoss: ctx.Bool("allow-record-loss")}
	closeLog, err := retainLog(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog(context.WithoutCancel(ctx.Context))) }()
	out, err := evidence.Retain(ctx.Context, cfg)
	if err != nil {
		return openElsewhere(err)
	}
	return consoleOf(ctx).result(map[string]any{"removed": out.Records, "first": out.First},
		fmt.Sprintf("removed: %d records; the journal begins with record %d", out.Records, out.First))
}

// retainLog opens the log that is to prove what is removed.
func retainLog(ctx *cli.Context, cfg *evidence.RetainConfig) (closeLog func(context.Context) error, err error) {
	place, err := logs.At(ctx.Path("log"))
	if err != nil {
		return nil, logError(err)
	}
	cfg.LogForm = place.Form
	if err := mayLose(ctx, place.Form); err != nil {
		return nil, err
	}
	shared, err := place.Shared(ctx.Context)
	if err != nil {
		return nil, logError(err)
	}
	if shared {
		log, err := place.OpenShared(ctx.Context)
		if err != nil {
			return nil, logError(err)
		}
		cfg.Shared = log
		return log.Close, nil
	}
	_, signer, err := logPlace(ctx.Path("log"))
	if err != nil {
		return nil, err
	}
	log, err := place.Open(ctx.Context, signer, new(logs.Options))
	if err != nil {
		return nil, openElsewhere(err)
	}
	cfg.Log = log
	return log.Close, nil
}

func evidenceVaultKey(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "out"); err != nil {
		return err
	}
	if ctx.Path("out") == "-" {
		return hint(usagef("a master key is not printed"), "give --out a file")
	}
	text, err := vault.NewMasterKey()
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	if err := con.writeOutput(ctx.Path("out"), text, modeSecret, ctx.Bool("force")); err != nil {
		return err
	}
	con.note("wrote %s: without it nothing that is sealed can be opened", ctx.Path("out"))
	return nil
}

func evidenceVaultList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "vault"); err != nil {
		return err
	}
	keys, err := vault.List(ctx.Path("vault"))
	if err != nil {
		return err
	}
	for _, k := range keys {
		day := k.From.Format(time.DateOnly)
		if err := consoleOf(ctx).result(map[string]any{"day": day, "file": k.File, "erased": k.Erased},
			fmt.Sprintf("%s %s", day, k.File)); err != nil {
			return err
		}
	}
	return nil
}
