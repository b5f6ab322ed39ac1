package main

import (
	"context"
	"crypto"
	"fmt"
	"os"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
)

// callerFlags say who calls.
func callerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "key", Usage: "the badge's key in `FILE`"},
		&cli.PathFlag{Name: "badge", Usage: "the badge to present, in `FILE`; without one the call is anonymous"},
		&cli.StringFlag{Name: "as", Usage: "with --home: call as `NAME`, with NAME.jwk and NAME.badge"},
	}
}

// readCaller reads who calls: nobody, without a badge.
func readCaller(ctx *cli.Context) (func(context.Context) (string, error), crypto.Signer, error) {
	con, name := consoleOf(ctx), ctx.Path("badge")
	if name == "" {
		con.note("no --badge: the call is anonymous")
		return nil, nil, nil
	}
	if err := required(ctx, "key"); err != nil {
		return nil, nil, err
	}
	b := &badgeFile{name: name, note: con.note}
	if err := b.read(con); err != nil {
		return nil, nil, err
	}
	private, err := readKey(con, ctx.Path("key"))
	if err != nil {
		return nil, nil, err
	}
	return b.current, private.Key, nil
}

// A badgeFile is a badge in a file that may be replaced while it is in use, as
// `badge keep` does.
type badgeFile struct {
	name string
	note func(format string, args ...any)

	mu    sync.Mutex  // guards what follows
	info  os.FileInfo // of the file that was read last; nil for standard input
	token string
}

func (b *badgeFile) read(con *console) (err error) {
	if b.name != "-" {
		info, err := os.Stat(b.name) // before it is read: what comes later is newer
		if err != nil {
			return err
		}
		b.info = info
	}
	if b.token, err = con.readToken(b.name); err != nil {
		return err
	}
	if _, err := badge.Inspect(b.token); err != nil {
		return malformed(fmt.Errorf("%s holds no badge: %w", b.name, err))
	}
	return nil
}

// current returns the badge that is in the file now. While that one is none, it
// is the last that was.
func (b *badgeFile) current(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.info == nil {
		return b.token, nil
	}
	if now, err := os.Stat(b.name); err == nil && os.SameFile(b.info, now) && b.info.ModTime().Equal(now.ModTime()) && b.info.Size() == now.Size() {
		return b.token, nil
	}
	before := b.token
	if err := b.read(newConsole(nil, nil, nil)); err != nil {
		b.note("the badge that was there before is still used: %v", err)
		b.token = before
	}
	return b.token, nil
}
