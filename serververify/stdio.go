package serververify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// NewNonce returns a fresh challenge, in the text form that goes over the
// wire.
func NewNonce() string {
	var n [mcpwire.NonceBytes]byte
	rand.Read(n[:]) // never fails
	return mcpwire.EncodeNonce(n)
}

// VerifyStdio judges what a server on a pipe disclosed in answer to nonce,
// which [NewNonce] made for this exchange alone. It is for transports where the
// client itself launched the server; package mcpverify does all of it. The
// errors are those of [Verifier.Verify].
//
// There is no channel to bind the proof to: it shows that whoever is at the
// other end reaches a holder of the key now.
func (v *Verifier) VerifyStdio(ctx context.Context, nonce string, d Disclosure) (*Server, error) {
	return v.VerifyLaunched(ctx, &StdioExchange{Nonce: nonce, Disclosure: d})
}

// A StdioExchange is a challenge over stdio, and what came back for it.
type StdioExchange struct {
	Nonce      string // of NewNonce, for this exchange alone
	Disclosure Disclosure

	// Launch is the secret that the process was started with; the zero Launch
	// when it was given none.
	Launch Launch

	// Endpoint is what the client calls the process, such as the command it
	// started. It becomes [Server.Endpoint], for an [Admission] to look up.
	Endpoint string
}

// VerifyLaunched is [Verifier.VerifyStdio] for a process that was given a
// secret.
func (v *Verifier) VerifyLaunched(ctx context.Context, x *StdioExchange) (*Server, error) {
	if _, err := mcpwire.DecodeNonce(x.Nonce); err != nil {
		return nil, fmt.Errorf("serververify: nonce: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	ch := &challenge{nonce: x.Nonce, process: x.Endpoint, channels: []channel{{binding: BindingStdio}}}
	if !x.Launch.IsZero() {
		ch.channels = append(ch.channels, channel{binding: BindingLaunch, digest: x.Launch.digest()})
	}
	return v.judge(ctx, ch, x.Disclosure)
}

// AnswerStdio is [Identity.Disclose] with the answer to a challenge that came
// over stdio. The proof is left out, and OnError told why, when the identity is
// not configured for Stdio, the nonce is none, the badge cannot be had or the
// key signs too often.
func (i *Identity) AnswerStdio(ctx context.Context, nonce string) Disclosure {
	d := i.Disclose(ctx)
	if !i.cfg.Stdio {
		i.cfg.OnError(errors.New("serververify: a challenge over stdio was not answered: IdentityConfig.Stdio is not set"))
		return d
	}
	c := proofClaims{nonce: nonce, binding: BindingStdio}
	if !i.cfg.Launch.IsZero() {
		c.binding, c.exporter = BindingLaunch, i.cfg.Launch.digest()
	}
	if err := i.prove(&d, c); err != nil {
		i.cfg.OnError(err)
	}
	return d
}

// errSignRate reports that the key signs too often.
var errSignRate = errors.New("serververify: too many challenges at once")

// prove puts the proof of d's DID and badge into d. Only what it is given as a
// nonce, and what the server knows by itself, is signed.
func (i *Identity) prove(d *Disclosure, c proofClaims) error {
	if _, err := mcpwire.DecodeNonce(c.nonce); err != nil {
		return fmt.Errorf("serververify: challenge: %w", err)
	}
	if d.Badge == "" {
		return errors.New("serververify: no badge to prove possession of")
	}
	own, err := badge.Inspect(d.Badge)
	if err == nil {
		err = own.Problem
	}
	if err != nil {
		return fmt.Errorf("serververify: own badge: %w", err)
	}
	if !i.limiter.Allow() {
		return errSignRate
	}
	now := i.cfg.Time()
	c.issuer, c.badgeID = d.DID, own.BadgeID
	c.issuedAt, c.expires = now.Unix(), now.Add(ProofLifetime).Unix()
	by := d.by
	if by == nil {
		by = i.credential()
	}
	d.Proof, err = c.sign(by.keyID, by.signer)
	return err
}
