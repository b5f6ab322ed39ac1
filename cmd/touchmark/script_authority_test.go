package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// front takes a port of localhost for as long as the script runs, so that an
// authority can be named before it is there. It sets PORT and ORIGIN, and writes
// cert.pem and cert.key. `forward ADDR` then passes connections on, as they are,
// and `forward plain ADDR` what TLS is taken off, as a proxy does.
func front(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: front")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Setenv("PORT", port)
	ts.Setenv("ORIGIN", "https://localhost:"+port)
	pair := writeCertificate(ts)
	var target, plain atomic.Pointer[string]
	ts.SetCmd("forward", func(ts *testscript.TestScript, neg bool, args []string) {
		switch {
		case !neg && len(args) == 1:
			target.Store(&args[0])
		case !neg && len(args) == 2 && args[0] == "plain":
			plain.Store(&args[1])
		default:
			ts.Fatalf("usage: forward [plain] ADDR")
		}
	})
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if to := plain.Load(); to != nil {
				go relay(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}), to)
			} else {
				go relay(conn, target.Load())
			}
		}
	}()
}

func relay(conn net.Conn, target *string) {
	defer conn.Close()
	if target == nil {
		return
	}
	to, err := net.Dial("tcp", *target)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{conn, to}, {to, conn}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// writeCertificate writes cert.pem and cert.key.
func writeCertificate(ts *testscript.TestScript) tls.Certificate {
	cert, key, err := newCertificate()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("cert.pem"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("cert.key"), key, 0o600))
	pair, err := tls.X509KeyPair(cert, key)
	ts.Check(err)
	return pair
}

func makeCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	cert, key, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// newCertificate makes a certificate for localhost that vouches for itself.
func newCertificate() (cert, secret []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// untilBound is far more than anything takes, also a key that is opened with its
// passphrase under the race detector on a machine that is busy: a minute and more.
const untilBound = 10 * time.Minute

// until runs touchmark again and again until it ends with a code: until 0 badge
// status ... Its output is that of the last run.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until CODE ARG...")
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		got := 0
		if err := ts.Exec("touchmark", args[1:]...); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				ts.Fatalf("%v", err)
			}
			got = exit.ExitCode()
		}
		if strconv.Itoa(got) == args[0] {
			return
		}
		if time.Since(began) > untilBound {
			ts.Fatalf("exit code %d for %v, want %s", got, untilBound, args[0])
		}
	}
}

// keep runs touchmark as systemd does a service: it waits for READY, by when FILE
// has to be there, ends it, and wants it to say STOPPING: keep FILE ARG...
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: keep FILE ARG...")
	}
	dir, err := os.MkdirTemp("", "notify") // names of sockets are short
	ts.Check(err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetReadDeadline(time.Now().Add(untilBound)))
	cmd := exec.Command(programPath(ts, "touchmark"), args[1:]...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), os.Stderr
	cmd.Env = append(os.Environ(), "GORACE="+ts.Getenv("GORACE"), "NOTIFY_SOCKET="+socket)
	ts.Check(cmd.Start())
	buffer := make([]byte, 100)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		n, err := conn.Read(buffer)
		if err != nil || string(buffer[:n]) != want {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Fatalf("told %q, %v, want %q", buffer[:n], err, want)
		}
		if want == "READY=1" {
			_, missing := os.Stat(ts.MkAbs(args[0]))
			_ = cmd.Process.Signal(syscall.SIGTERM)
			if missing != nil {
				_ = cmd.Wait()
				ts.Fatalf("ready without %s: %v", args[0], missing)
			}
		}
	}
	ts.Check(cmd.Wait())
}
