package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func badgeCommand() *cli.Command {
	return &cli.Command{
		Name: "badge", Usage: "issue, get, verify, revoke and inspect trust badges",
		Subcommands: []*cli.Command{badgeIssueCommand(), badgeVerifyCommand(), badgeRequestCommand(), badgeKeepCommand(), badgeStatusCommand(), badgeRevokeCommand(), badgeSyncCommand(), badgeDomainCommand(), {
			Name: "inspect", Usage: "show what a badge says, unverified", ArgsUsage: "BADGE",
			Action: badgeInspect,
		}},
	}
}

func badgeIssueCommand() *cli.Command {
	return &cli.Command{
		Name: "issue", Usage: "sign a badge: --self-sign for level 0, or with an issuer's key",
		Description: "EXAMPLES\n  touchmark badge issue --self-sign --key agent.jwk --aud https://mcp.example.com\n" +
			"  touchmark badge issue --issuer-key ca.jwk --issuer https://registry.example \\\n" +
			"      --subject did:web:agent.example --subject-key agent.jwk --level 2 --domain agent.example",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "self-sign", Usage: "a badge of level 0 that the key signs about itself"},
			&cli.PathFlag{Name: "key", Usage: "with --self-sign: the key in `FILE`"},
			&cli.PathFlag{Name: "issuer-key", Usage: "the issuer's key in `FILE`; its kid names it in the issuer's key set"},
			&cli.StringFlag{Name: "issuer", Usage: "the issuer, an https origin `URL`"},
			&cli.StringFlag{Name: "subject", Usage: "whom the badge is about, a did:web `DID`"},
			&cli.PathFlag{Name: "subject-key", Usage: "the subject's key, private or public, in `FILE`"},
			&cli.StringFlag{Name: "level", Usage: "1 registered, 2 domain, 3 organisation, 4 extended validated"},
			&cli.StringFlag{Name: "domain", Usage: "the validated domain, from level 2 on"},
			&cli.StringFlag{Name: "actor", Usage: "vouch that the subject is a `CLASS`: human, supervised_ai, automation, service_account"},
			&cli.StringSliceFlag{Name: "aud", Usage: "a verifier that may accept the badge; none means any"},
			&cli.DurationFlag{Name: "ttl", Usage: "time to expiry, 60s to 1h", Value: badge.DefaultTTL},
			&cli.StringFlag{Name: "jti", Usage: "the badge's id, a UUID; a random one by default"},
			&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
			forceFlag(),
		},
		Action: badgeIssue,
	}
}

func badgeIssue(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	t := &badge.Template{Audience: ctx.StringSlice("aud"), TTL: ctx.Duration("ttl"), ID: ctx.String("jti")}
	issue := issueByKey
	if ctx.Bool("self-sign") {
		issue = issueSelf
	}
	token, err := issue(ctx, t)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	out := ctx.Path("out")
	if out == "" && con.json {
		return con.line(map[string]string{"badge": token})
	}
	return con.writeOutput(out, []byte(token+"\n"), modeSecret, ctx.Bool("force"))
}

func issueSelf(ctx *cli.Context, t *badge.Template) (string, error) {
	for _, other := range []string{"issuer-key", "issuer", "subject", "subject-key", "level", "domain", "actor"} {
		if ctx.IsSet(other) {
			return "", usagef("--self-sign and --%s exclude each other", other)
		}
	}
	if err := required(ctx, "key"); err != nil {
		return "", err
	}
	key, err := readKey(consoleOf(ctx), ctx.Path("key"))
	if err != nil {
		return "", err
	}
	token, err := badge.SelfSign(key.Key, t)
	return token, malformed(err)
}

func issueByKey(ctx *cli.Context, t *badge.Template) (string, error) {
	if err := required(ctx, "issuer-key", "issuer", "subject", "subject-key", "level"); err != nil {
		return "", hint(err, "or issue a badge of level 0 with --self-sign --key FILE")
	}
	con := consoleOf(ctx)
	key, err := readKey(con, ctx.Path("issuer-key"))
	if err != nil {
		return "", err
	}
	kid := key.KeyID
	if kid == "" {
		if kid, err = jwk.Thumbprint(key.Key.Public()); err != nil {
			return "", err
		}
	}
	data, err := con.readInput(ctx.Path("subject-key"))
	if err != nil {
		return "", err
	}
	if t.SubjectKey, _, err = publicHalf(data); err != nil {
		return "", usagef("%s: %v", ctx.Path("subject-key"), err)
	}
	if t.Subject, err = did.Parse(ctx.String("subject")); err != nil {
		return "", malformed(err)
	}
	if t.Level, err = badge.ParseLevel(ctx.String("level")); err != nil {
		return "", malformed(err)
	}
	t.Domain, t.Actor = ctx.String("domain"), ctx.String("actor")
	token, err := badge.Issue(&badge.IssuerKey{Issuer: ctx.String("issuer"), KeyID: kid, Signer: key.Key}, t)
	return token, malformed(err)
}

func badgeVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "judge a badge", ArgsUsage: "BADGE",
		Description: "BADGE is a file, or - for standard input.\n\nEXAMPLES\n" +
			"  touchmark badge verify --issuer https://registry.example --audience https://mcp.example.com agent.badge\n" +
			"  touchmark badge verify --issuer https://registry.example=jwks.json --revocations list.jwt agent.badge",
		Flags: append(trustFlags(),
			&cli.StringSliceFlag{Name: "audience", Usage: "a name of the verifier, `A`"},
			&cli.StringFlag{Name: "min-level", Usage: "refuse badges below level `N`", Value: "0"},
			&cli.StringFlag{Name: "at", Usage: "judge as of `TIME`: Unix seconds or RFC 3339"},
			&cli.BoolFlag{Name: "compat", Usage: "read what published issuers emit against their own documents"},
		),
		Action: badgeVerify,
	}
}

// A badgeVerdict is what an accepted badge says.
type badgeVerdict struct {
	Verdict    string   `json:"verdict"`
	Level      string   `json:"level"`
	Subject    string   `json:"subject"`
	Issuer     string   `json:"issuer"`
	Assurance  string   `json:"assurance"`
	ID         string   `json:"jti"`
	Expires    string   `json:"expires"`
	Domain     string   `json:"domain,omitempty"`
	Actor      string   `json:"actor,omitempty"`
	Audience   []string `json:"audience,omitempty"`
	Thumbprint string   `json:"thumbprint"`
}

func describeBadge(b *badge.Badge) *badgeVerdict {
	return &badgeVerdict{
		Verdict: "accepted", Level: b.Level().String(), Subject: b.Subject().String(), Issuer: b.Issuer(),
		Assurance: string(b.Assurance()), ID: b.ID(), Expires: b.ExpiresAt().UTC().Format(time.RFC3339),
		Domain: b.Domain(), Actor: b.Actor(), Audience: b.Audience(), Thumbprint: b.KeyThumbprint(),
	}
}

func badgeVerify(ctx *cli.Context) error {
	if err := wantArgs(ctx, "BADGE"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	minimum, err := badge.ParseLevel(ctx.String("min-level"))
	if err != nil {
		return malformed(err)
	}
	token, err := con.readToken(ctx.Args().First())
	if err != nil {
		return err
	}
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	t.audience, t.compat = ctx.StringSlice("audience"), ctx.Bool("compat")
	if t.at, err = clockAt(ctx.String("at")); err != nil {
		return err
	}
	v, err := t.badges()
	if err != nil {
		return err
	}
	b, err := v.Verify(ctx.Context, token)
	if err == nil && !b.Level().AtLeast(minimum) {
		err = &levelError{have: b.Level(), want: minimum}
	}
	if err != nil {
		return err
	}
	d := describeBadge(b)
	return con.result(d, fmt.Sprintf("accepted: level %s\nsubject    %s\nissuer     %s\nassurance  %s\njti        %s\nexpires    %s",
		d.Level, d.Subject, d.Issuer, d.Assurance, d.ID, d.Expires))
}

// codeLevelTooLow is the code of a badge that is good and not good enough.
const codeLevelTooLow = "TOOL_TRUST_INSUFFICIENT"

// A levelError refuses a good badge of too low a level.
type levelError struct{ have, want badge.Level }

func (e *levelError) Error() string {
	return fmt.Sprintf("the badge is of level %s, the minimum is %s", e.have, e.want)
}

// clockAt is a clock that stands still at a time, nil for no time.
func clockAt(text string) (func() time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		seconds, numErr := strconv.ParseInt(text, 10, 64)
		if numErr != nil {
			return nil, usagef("--at %q is neither Unix seconds nor RFC 3339", text)
		}
		at = time.Unix(seconds, 0)
	}
	return func() time.Time { return at }, nil
}

func badgeInspect(ctx *cli.Context) error {
	if err := wantArgs(ctx, "BADGE"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	token, err := con.readToken(ctx.Args().First())
	if err != nil {
		return err
	}
	u, err := badge.Inspect(token)
	if err != nil {
		return malformed(err)
	}
	problem := ""
	if u.Problem != nil {
		problem = u.Problem.Error()
	}
	out := map[string]any{
		"verified": false, "header": map[string]string{"alg": u.Algorithm, "typ": u.Type, "kid": u.KeyID}, "claims": u.Payload,
	}
	text := fmt.Sprintf("UNVERIFIED: nobody has checked this badge\nheader  alg=%s typ=%s kid=%s\nclaims  %s", u.Algorithm, u.Type, u.KeyID, u.Payload)
	if problem != "" {
		out["problem"] = problem
		text += "\nany strict verifier refuses it: " + problem
	}
	return con.result(out, strings.TrimSpace(text))
}
