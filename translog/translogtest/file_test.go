package translogtest_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A place is a directory with a log of lines, the simplest engine that a restart leaves whole. Fault says what is wrong
// with it, "" for nothing.
type place struct {
	dir, skey string
	fault     string
	last      *translogtest.Log // that was opened
}

// A file is a log in memory that writes each entry to a file first.
type file struct {
	*translogtest.Log
	p     *place
	lock  interface{ Close() error }
	mu    sync.Mutex
	lines *os.File
	late  [][]byte // entries that a fault keeps back
	ended bool
}

var errFull = errors.New("no space left")

func (p *place) open(context.Context) (translogtest.Engine, error) {
	signer, err := translog.ParseSigner(p.skey)
	if err != nil {
		return nil, err
	}
	f := &file{Log: translogtest.NewLogFor(signer), p: p}
	if p.fault != "no lock" {
		if f.lock, err = (durable.OS{}).Lock(filepath.Join(p.dir, "lock")); err != nil {
			return nil, err
		}
	}
	if f.lines, err = os.OpenFile(filepath.Join(p.dir, "lines"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	info, err := f.lines.Stat()
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(io.LimitReader(f.lines, info.Size()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		entry, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			break // half a line: the process was killed
		}
		if _, err := f.Log.Append(context.Background(), [][]byte{entry}); err != nil {
			return nil, err
		}
	}
	p.last = f.Log
	return f, nil
}

func (f *file) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.p.fault == "takes what does not fit" {
		ctx = context.WithoutCancel(ctx) // it takes it however long that lasts
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if f.ended {
		return 0, translogtest.ErrClosed
	}
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(f.p.dir, "full")); err == nil && f.p.fault != "takes what does not fit" {
		return 0, errFull
	} else if err == nil {
		return f.Log.Append(ctx, entries)
	}
	switch f.p.fault {
	case "acknowledges first":
		f.late = append(f.late, entries...)
	case "loses the last":
		f.write(entries[:len(entries)-1])
	default:
		f.write(entries)
	}
	return f.Log.Append(ctx, entries)
}

func (f *file) write(entries [][]byte) {
	var text []byte
	for _, e := range entries {
		text = append(base64.StdEncoding.AppendEncode(text, e), '\n')
	}
	_, err := f.lines.Write(text)
	if err = errors.Join(err, f.lines.Sync()); err != nil {
		panic(err)
	}
}

func (f *file) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	if _, err := os.Stat(filepath.Join(f.p.dir, "ahead")); err == nil && f.p.fault == "waits for the clock" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.Log.AwaitPublished(ctx, index)
}

func (f *file) Close(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	f.ended = true
	f.write(f.late)
	err := errors.Join(f.Log.Close(ctx), f.lines.Close())
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

const childVar = "TRANSLOGTEST_CHILD"

func installFile(t *testing.T, fault string) *translogtest.Installation {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/file")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{dir: t.TempDir(), skey: skey, fault: fault}
	return &translogtest.Installation{
		Open: p.open, Signer: signer, Source: latest{p}, Reopens: true, Locked: durable.ErrLocked,
		Command: func() *exec.Cmd {
			child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
			child.Env = append(os.Environ(), childVar+"="+p.dir, childVar+"_KEY="+skey, childVar+"_FAULT="+fault)
			return child
		},
		Fill: func(t testing.TB) func() {
			full := filepath.Join(p.dir, "full")
			if err := os.WriteFile(full, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.Remove(full) }
		},
		SetBack: func(t testing.TB) {
			if err := os.WriteFile(filepath.Join(p.dir, "ahead"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// latest reads the log that was opened last.
type latest struct{ p *place }

func (l latest) Checkpoint(ctx context.Context) ([]byte, error) {
	return l.p.last.Source().Checkpoint(ctx)
}

func (l latest) Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	data, err := l.p.last.Source().Tile(ctx, level, index, partial)
	if l.p.fault == "has a wrong tile" && level == 1 && err == nil {
		data[2*32+5] ^= 1 // the third of five
	}
	return data, err
}

func (l latest) Entries(ctx context.Context, index uint64, partial uint8) ([]byte, error) {
	return l.p.last.Source().Entries(ctx, index, partial)
}

var _ tlogclient.Source = latest{}

func TestFileEngine(t *testing.T) {
	translogtest.TestInstallation(t, func(t *testing.T) *translogtest.Installation { return installFile(t, "") })
}

// TestChild is the process that the conformance test kills; by itself it tests nothing.
func TestChild(t *testing.T) {
	dir := os.Getenv(childVar)
	if dir == "" {
		return
	}
	p := &place{dir: dir, skey: os.Getenv(childVar + "_KEY"), fault: os.Getenv(childVar + "_FAULT")}
	f, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(translogtest.AppendUntilKilled(t.Context(), f, os.Stdout))
}
