package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/witness"
)

func logWitnessCommand() *cli.Command {
	return &cli.Command{
		Name: "witness", Usage: "cosign the checkpoints of other people's logs", ArgsUsage: "DIR",
		Description: "Logs are those of the policy; its witnesses and its quorum are not looked at. --init NAME begins: it makes\n" +
			"DIR, with the state, and DIR.key (secret), and prints the key for the policies of readers. A witness whose state is\n" +
			"lost must not go on: make a new one. Two trees of one size that a log has signed are kept in DIR/evidence.\n\n" +
			"EXAMPLES\n  touchmark log witness --init w.example/1 w1\n" +
			"  touchmark log witness --policy log.policy --listen 127.0.0.1:8490 w1",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "init", Usage: "make a new witness of this `NAME`, a URL without scheme"},
			&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "the logs to witness, `FILE`"},
			&cli.StringFlag{Name: "listen", Usage: "the `ADDR` to listen at", Value: "127.0.0.1:8490"},
		},
		Action: logWitness,
	}
}

func logWitness(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	dir := strings.TrimRight(ctx.Args().First(), "/")
	if ctx.IsSet("init") {
		if ctx.IsSet("log-policy") || ctx.IsSet("listen") {
			return usagef("--init makes a witness and does not run it: it takes neither --policy nor --listen")
		}
		return makeWitness(ctx, dir)
	}
	policy, err := readPolicy(ctx)
	if err != nil {
		return err
	}
	key, err := witnessKey(dir)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	w, err := witness.Open(&witness.Config{Dir: dir, Key: key, Logs: policy, OnMisbehavior: func(e *translog.RejectedError) {
		con.note("%s: %s", e.Code, e.Reason)
		if err := keepEvidence(con, dir, e); err != nil {
			con.note("the evidence could not be kept: %v", err)
		}
	}})
	switch {
	case errors.Is(err, durable.ErrLocked):
		return &failure{code: exitUndetermined, err: err, hint: "another process runs this witness"}
	case err != nil:
		return hint(err, "make a witness with: touchmark log witness --init NAME %s", dir)
	}
	defer w.Close()
	return serveWitness(ctx, w, key)
}

func makeWitness(ctx *cli.Context, dir string) error {
	con := consoleOf(ctx)
	skey, _, err := translog.GenerateKey(ctx.String("init"))
	if err != nil {
		return malformed(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return usagef("%s is there already: a witness is begun once", dir)
	}
	if err := con.writeOutput(dir+".key", []byte(skey+"\n"), modeSecret, false); err != nil {
		return err
	}
	key, err := witnessKey(dir)
	if err != nil {
		return err
	}
	if err := witness.Create(dir, key); err != nil {
		return err
	}
	return con.result(map[string]string{"name": ctx.String("init"), "vkey": key.VerifierKey(), "dir": dir},
		fmt.Sprintf("witness %s in %s\nkey     %s", ctx.String("init"), dir, key.VerifierKey()))
}

func witnessKey(dir string) (*witness.Key, error) {
	text, err := os.ReadFile(dir + ".key")
	if err != nil {
		return nil, hint(err, "make a witness with: touchmark log witness --init NAME %s", dir)
	}
	signer, err := translog.ParseSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, malformed(err)
	}
	return witness.NewKey(signer)
}

// keepEvidence writes both checkpoints of a fork, under names that the same fork
// has again.
func keepEvidence(con *console, dir string, e *translog.RejectedError) error {
	dir = filepath.Join(dir, "evidence")
	if err := makeDir(dir); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) >= maxEvidence {
		return fmt.Errorf("%s holds %d files already", dir, len(there))
	}
	for _, raw := range [][]byte{e.Older, e.Checkpoint} {
		name := fmt.Sprintf("%x.checkpoint", translog.LeafHash(raw))
		if err := con.writeOutput(filepath.Join(dir, name), raw, modePublic, true); err != nil {
			return err
		}
	}
	return nil
}

const maxEvidence = 1000 // files

func serveWitness(ctx *cli.Context, w http.Handler, key *witness.Key) error {
	con := consoleOf(ctx)
	ln, err := net.Listen("tcp", ctx.String("listen"))
	if err != nil {
		return err
	}
	if con.json {
		if err := con.line(map[string]string{"url": "http://" + ln.Addr().String(), "vkey": key.VerifierKey()}); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	con.note("witness %s at http://%s", key.VerifierKey(), ln.Addr())
	return serveUntilDone(ctx.Context, ln, &http.Server{
		Handler: w, MaxHeaderBytes: maxHeaderBytes, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	})
}

// serveUntilDone serves until ctx ends, and lets what is under way end well.
func serveUntilDone(ctx context.Context, ln net.Listener, server *http.Server) error {
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	return endServer(server, shutdownTimeout)
}

// endServer gives who is being answered some time.
func endServer(server *http.Server, grace time.Duration) error {
	stop, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(stop); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close() // who is that slow reads no more
}
