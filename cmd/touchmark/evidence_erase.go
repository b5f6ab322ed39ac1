package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

func evidenceErase(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "evidence"); err != nil {
		return err
	}
	what := &evidence.Erasure{IDs: ctx.StringSlice("id")}
	if s := ctx.String("subject"); s != "" {
		if what.Subject, err = did.Parse(s); err != nil {
			return malformed(err)
		}
		if what.Vault, err = vaultIfAny(ctx); err != nil {
			return err
		}
	}
	if what.Before, err = readTime("before", ctx.String("before")); err != nil {
		return err
	}
	if len(what.IDs) == 0 && what.Subject.IsZero() && what.Before.IsZero() {
		return hint(usagef("%s erases nothing without being told what", commandName(ctx)), "give --before, --id or --subject")
	}
	if what.Before.After(time.Now()) {
		return usagef("--before %s is to come", what.Before.Format(time.RFC3339))
	}
	if head, err := evidence.Segments(ctx.Path("evidence")); err != nil || len(head) == 0 {
		return err
	}
	keys, stuck := 0, error(nil)
	if !what.Before.IsZero() {
		if keys, stuck = forget(ctx, what); what.Sealed == nil && stuck != nil {
			return stuck
		}
	}
	out, err := evidence.Erase(ctx.Context, ctx.Path("evidence"), what)
	if errors.Is(err, durable.ErrLocked) {
		err = hint(undeterminedf("%d keys were destroyed; somebody has the journal open, and single records were not erased: %v", keys, err),
			"stop the gateway, and do this again")
	}
	if err != nil {
		return errors.Join(notAnID(err), stuck)
	}
	if err := errors.Join(eraseResult(consoleOf(ctx), out, keys), stuck); err != nil {
		return err
	}
	if len(out.Missing) > 0 {
		return undeterminedf("no record has the id %q", out.Missing)
	}
	if out.NoToken > 0 { // anybody can send it
		consoleOf(ctx).note("%d records of what was refused and is no token are left as they are: %s was not found in it", out.NoToken, what.Subject)
	}
	if out.Unread > 0 {
		return hint(undeterminedf("%d records of badges or proofs that were refused did not open: whether they are of %s is not known",
			out.Unread, what.Subject), "name the vault with --vault, and its master key with --vault-key")
	}
	return nil
}

// vaultIfAny opens the vault of a journal that may have none, or none that can be opened.
func vaultIfAny(ctx *cli.Context) (evidence.Vault, error) {
	dir, key := vaultPlace(ctx)
	for flag, name := range map[string]string{"vault": dir, "vault-key": key} {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) && !ctx.IsSet(flag) {
			return nil, nil //nolint:nilnil // as documented
		}
	}
	v, err := readVault(dir, key)
	switch {
	case err == nil:
		return v, nil
	case ctx.IsSet("vault") || ctx.IsSet("vault-key"):
		return nil, err
	}
	return nil, nil //nolint:nilnil // what stays sealed is counted
}

// notAnID makes wrong usage of an id that is none.
func notAnID(err error) error {
	if codeOf(err) == exitInternal {
		return malformed(err)
	}
	return err
}

// forget destroys the keys of the days before, if there is a vault, and lets go with them what was sealed with them.
func forget(ctx *cli.Context, what *evidence.Erasure) (keys int, err error) {
	dir, _ := vaultPlace(ctx)
	if _, err := os.Stat(dir); err != nil {
		if !errors.Is(err, fs.ErrNotExist) || ctx.IsSet("vault") {
			return 0, hint(err, "name the vault with --vault")
		}
		return 0, inClear(ctx.Path("evidence"))
	}
	v, err := vault.Open(&vault.Config{Dir: dir, Wrapper: noMasterKey{}})
	if err != nil {
		return 0, err
	}
	erased, err := v.EraseBefore(what.Before) // a key that cannot be destroyed holds up nothing else
	sealed, serr := v.Erased()
	what.Sealed = sealed
	if err = errors.Join(err, serr); err != nil {
		err = undeterminedf("%d keys were destroyed, and not all of them: %w", len(erased), err)
	}
	return len(erased), err
}

// inClear refuses a journal with private parts that are sealed.
func inClear(journal string) error {
	for stored, err := range evidence.ReadJournal(journal, 0) {
		if err != nil {
			return err
		}
		if _, err := stored.OpenPrivate(nil); errors.Is(err, evidence.ErrPrivateSealed) {
			return hint(undeterminedf("record %d is sealed, and its vault is not beside the journal: no key was destroyed", stored.Sequence),
				"name the vault with --vault")
		}
	}
	return nil
}

// noMasterKey is a [vault.Wrapper] for who destroys keys, for which they need not be read.
type noMasterKey struct{}

func (noMasterKey) Wrap(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("there is no master key here")
}

func (noMasterKey) Unwrap(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("there is no master key here")
}

func eraseResult(con *console, out *evidence.Erased, keys int) error {
	return con.result(map[string]any{"records": out.Records, "keys": keys, "bytes": out.Bytes},
		fmt.Sprintf("erased: the private parts of %d records, %d keys; the journal is %d bytes smaller", out.Records, keys, out.Bytes))
}

func evidenceCompact(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "evidence"); err != nil {
		return err
	}
	v, err := openVault(ctx)
	if err != nil {
		return err
	}
	what := new(evidence.Erasure)
	if what.Sealed, err = v.Erased(); err != nil {
		return err
	}
	out, err := evidence.Erase(ctx.Context, ctx.Path("evidence"), what)
	if err != nil {
		return openElsewhere(err)
	}
	return eraseResult(consoleOf(ctx), out, 0)
}

func openElsewhere(err error) error {
	if errors.Is(err, durable.ErrLocked) {
		return hint(undeterminedf("%v", err), "stop the gateway that has the journal open; with --salt-retention and --journal-retention it does this by itself")
	}
	return err
}
