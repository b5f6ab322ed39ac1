package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const migratedSuffix = ".migrated"

func logMigrateCommand() *cli.Command {
	return &cli.Command{
		Name: "migrate", Usage: "copy a log into another one, of either engine, and prove that both hold the same entries", ArgsUsage: "FROM TO",
		Description: "FROM is a directory or a URL; TO was made by log init, and has its own name and key. Entries are proven to be in\n" +
			"FROM before they are copied. Run it again to go on after an interruption, or to copy what is new in FROM:\n" +
			"TO.migrated keeps the checkpoint of FROM, which has to continue it, and TO must be a beginning of FROM.\n" +
			"A journal that feeds FROM feeds TO after the gateway was stopped, the last entries copied, and the checkpoint\n" +
			"of FROM moved away: its file log-checkpoint.\n\nEXAMPLES\n" +
			"  touchmark log init --origin log.example.com/calls2 --trillian 127.0.0.1:8090 log2\n" +
			"  touchmark log migrate log log2\n" +
			"  touchmark log migrate --from-policy log.policy https://log.example.com/calls log2 --json",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "from-policy", Usage: "whom to trust: the policy `FILE` with the key of FROM; FROM.policy by default"},
		},
		Action: logMigrate,
	}
}

// A migration is what log migrate tells of its work.
type migration struct {
	Verdict string `json:"verdict"`
	From    string `json:"from"` // origin
	To      string `json:"to"`   // origin
	Size    uint64 `json:"size"`
	Root    string `json:"root"` // hexadecimal, of both
	Copied  uint64 `json:"copied"`

	// Checkpoints of both.
	FromNote string `json:"from_note"`
	ToNote   string `json:"to_note"`
}

func logMigrate(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx, "FROM", "TO"); err != nil {
		return err
	}
	from, policy, err := migrateFrom(ctx, ctx.Args().Get(0))
	if err != nil {
		return err
	}
	place, signer, err := logPlace(ctx.Args().Get(1))
	if err != nil {
		return err
	}
	if sameDirectory(ctx.Args().Get(0), place.Dir) {
		return usagef("%s is FROM and TO", place.Dir)
	}
	con := consoleOf(ctx)
	cp, err := continued(ctx.Context, from, policy, place.Dir+migratedSuffix)
	if err != nil {
		return err
	}
	to, err := place.Open(ctx.Context, signer, &logs.Options{Notice: func(err error) { con.note("%v", err) }})
	if err != nil {
		return migrateError(err)
	}
	m, err := migrate(ctx.Context, con, from, cp, place, to)
	if closed := closeLog(to); err == nil {
		err = closed
	}
	if err != nil {
		return migrateError(err)
	}
	return con.result(m, fmt.Sprintf("accepted: %s holds the %d entries of %s, %d of them new\nroot     %s", m.To, m.Size, m.From, m.Copied, m.Root))
}

// migrateFrom reads the log that is copied.
func migrateFrom(ctx *cli.Context, where string) (*tlogclient.Client, *translog.Policy, error) {
	source, err := sourceAt(where)
	if err != nil {
		return nil, nil, err
	}
	name := ctx.Path("from-policy")
	if name == "" {
		dir, err := logs.Dir(where)
		if err != nil || strings.Contains(dir, "://") {
			return nil, nil, hint(usagef("needs --from-policy"), "a log that is served does not say whom to trust")
		}
		name = dir + ".policy"
	}
	text, err := consoleOf(ctx).readInput(name)
	if err != nil {
		return nil, nil, err
	}
	policy, err := translog.ParsePolicy(text)
	if err != nil {
		return nil, nil, malformed(err)
	}
	return tlogclient.New(source, policy), policy, nil
}

func sameDirectory(where, dir string) bool {
	if at, err := logs.Dir(where); err == nil {
		where = at
	}
	a, err := os.Stat(where)
	if err != nil {
		return false
	}
	b, err := os.Stat(dir)
	return err == nil && os.SameFile(a, b)
}

// continued returns the checkpoint of the log that is copied, which continues the one kept.
func continued(ctx context.Context, from *tlogclient.Client, policy *translog.Policy, kept string) (*translog.Checkpoint, error) {
	cp, err := from.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(kept) //nolint:gosec // beside a log of the user's
	if errors.Is(err, fs.ErrNotExist) {
		return cp, nil
	}
	if err != nil {
		return nil, err
	}
	before, err := policy.VerifyCheckpoint(text)
	if err != nil {
		return nil, hint(fmt.Errorf("%s: %w", kept, err), "TO was copied from another log")
	}
	_, err = from.Consistency(ctx, before, cp)
	return cp, hint(err, "FROM has to continue %s, of which TO is a copy", kept)
}

// migrate copies what to lacks of the entries of cp, and proves that it lacks nothing.
func migrate(ctx context.Context, con *console, from *tlogclient.Client, cp *translog.Checkpoint, place *logs.Place, to logs.Log) (*migration, error) {
	size, err := to.Size(ctx)
	if err != nil {
		return nil, err
	}
	held, err := covering(ctx, to, size)
	if err != nil {
		return nil, err
	}
	if err := beginning(ctx, from, held, cp); err != nil {
		return nil, err
	}
	if err := replaceFile(place.Dir+migratedSuffix, cp.Note(), modePublic); err != nil {
		return nil, err
	}
	told := time.Now()
	err = from.ScanProven(ctx, cp, size, func(first uint64, entries [][]byte) error {
		if err := ofForm(place.Form, first, entries); err != nil {
			return err
		}
		at, err := to.Append(ctx, entries)
		if err == nil && at != first {
			err = rejectedf("entry %d of FROM became entry %d of TO: somebody else appends to it", first, at)
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			con.note("%d of %d entries copied", first+uint64(len(entries)), cp.Size())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return proveSame(ctx, cp, size, place.Dir, to)
}

// ofForm refuses leaves that a log of this form cannot have.
func ofForm(form evidence.LogForm, first uint64, leaves [][]byte) error {
	for i, leaf := range leaves {
		if err := form.CheckLeaf(leaf); err != nil {
			return hint(fmt.Errorf("entry %d of FROM: %w", first+uint64(i), err), "TO is made with the form of FROM: touchmark log init --form") //nolint:gosec // counts
		}
	}
	return nil
}

// covering returns a checkpoint of a log of so many entries.
func covering(ctx context.Context, to logs.Log, size uint64) (*translog.Checkpoint, error) {
	if size == 0 {
		return to.Checkpoint(ctx)
	}
	return to.AwaitPublished(ctx, size-1)
}

// beginning refuses a log that is no beginning of another one.
func beginning(ctx context.Context, from *tlogclient.Client, held, cp *translog.Checkpoint) error {
	if held.Size() > cp.Size() {
		return rejectedf("TO has %d entries and FROM %d: it is no beginning of it", held.Size(), cp.Size())
	}
	if held.Size() == 0 {
		return nil
	}
	var proof [][32]byte
	if held.Size() < cp.Size() {
		hashes, err := from.ConsistencyHashes(ctx, held.Size(), cp.Size())
		if err != nil {
			return err
		}
		proof = hashes
	}
	if err := translog.CheckConsistency(held.Tree(), cp.Tree(), proof); err != nil {
		return fmt.Errorf("the %d entries of TO are no beginning of FROM: %w", held.Size(), err)
	}
	return nil
}

// proveSame hashes all that readers find in TO, and compares with the checkpoint of FROM.
func proveSame(ctx context.Context, cp *translog.Checkpoint, before uint64, dir string, to logs.Log) (*migration, error) {
	copied, err := covering(ctx, to, cp.Size())
	if err != nil {
		return nil, err
	}
	if copied.Tree() != cp.Tree() {
		return nil, rejectedf("TO has %d entries with root %x, and FROM %d with %x", copied.Size(), copied.Root(), cp.Size(), cp.Root())
	}
	reader := tlogclient.New(tlogclient.Dir(dir), to.Policy())
	if err := reader.Scan(ctx, copied, 0, func(uint64, []byte) error { return nil }); err != nil {
		return nil, err
	}
	root := cp.Root()
	return &migration{
		Verdict: verdictAccepted, From: cp.Origin(), To: copied.Origin(), Size: cp.Size(), Root: hex.EncodeToString(root[:]),
		Copied: cp.Size() - before, FromNote: string(cp.Note()), ToNote: string(copied.Note()),
	}, nil
}

// migrateError is for what neither judges nor names a file: an engine that did not take an entry.
func migrateError(err error) error {
	if codeOf(err) == exitInternal {
		return undeterminedf("%w", err)
	}
	return err
}
