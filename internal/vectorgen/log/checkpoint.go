package log

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func translogtestKey(name, keyName string) string {
	return translogtest.NewWitnessFor(name, key(keyName)).VerifierKey()
}

func (f *fixture) checkpoints() []Vector {
	return append(f.goodCheckpoints(), f.badCheckpoints()...)
}

func (f *fixture) goodCheckpoints() []Vector {
	nested := f.policy(f.witnessLine(0), f.witnessLine(1), f.witnessLine(2), "group a any w1 w2", "group b all a w3", "quorum b")
	rotated := signer(f.origin, "log, next key")
	later := f.witnesses[0].Cosign([]byte(f.checkpoint(11)), time.Unix(1770000060, 0))
	var all []Vector
	for _, v := range []struct{ name, comment, policy, checkpoint string }{
		{"valid", "one signature", f.noWitness(), f.checkpoint(11)},
		{"empty-tree", "size 0, the root of nothing", f.noWitness(), f.checkpoint(0)},
		{"unknown-signature", "lines of unknown keys are ignored", f.noWitness(), sign(f.text(11), f.signer, f.stranger)},
		{"extension", "extension lines are opaque", f.noWitness(), sign(f.text(11)+"an extension\nanother\n", f.signer)},
		{"either-key", "signed by the second of two keys", f.policy("log "+rotated.VerifierKey(), "quorum none"), sign(f.text(11), rotated)},
		{"cosigned", "two of three witnesses", f.twoOfThree(), f.cosigned(11, 0, 2)},
		{"cosigned-twice", "a witness cosigned a second time", f.twoOfThree(), f.cosigned(11, 0, 2) + lineOf(string(later), "w1.example/witness")},
		{"cosigned-nested", "one of two, and the third", nested, f.cosigned(11, 1, 2)},
	} {
		all = append(all, Vector{Name: "checkpoint-" + v.name, Kind: KindCheckpoint, Comment: v.comment, Policy: v.policy, Checkpoint: v.checkpoint})
	}
	return all
}

func (f *fixture) badCheckpoints() []Vector {
	malformed, unsigned := translog.CodeCheckpointMalformed, translog.CodeCheckpointSignatureInvalid
	valid, root := f.checkpoint(11), b64(f.tree.HashAt(11))
	text := func(lines ...string) string { return sign(strings.Join(lines, "\n")+"\n", f.signer) }
	var all []Vector
	for _, v := range []struct {
		name, defect       string
		code               translog.Code
		policy, checkpoint string
	}{
		{"unsigned", "no signature block", malformed, f.noWitness(), f.text(11)},
		{"unknown-origin", "a log that the policy does not name", translog.CodeOriginUnknown, f.noWitness(), sign("log.example/other\n11\n"+root+"\n", f.signer)},
		{"unknown-key", "the right name, the key of a stranger", unsigned, f.noWitness(), sign(f.text(11), f.stranger)},
		{"altered", "the size was changed after signing", unsigned, f.noWitness(), strings.Replace(valid, "\n11\n", "\n12\n", 1)},
		{"signature-slack", "bits that mean nothing at the end of the signature", malformed, f.noWitness(), slack(valid)},
		{"repeated-altered", "a second signature of the log's key, of another tree", unsigned, f.noWitness(), valid + lineOf(f.checkpoint(10), f.origin)},
		{"control-character", "a control character in the name of an unknown key", malformed, f.noWitness(), valid + "\u2014 \u007f AAAAAAAA\n"},
		{"only-witnesses", "witnesses signed, the log did not", unsigned, f.twoOfThree(), withoutLine(f.cosigned(11, 0, 1), f.origin)},
		{"no-root", "two lines only", malformed, f.noWitness(), text(f.origin, "11")},
		{"size-not-number", "a size that is no number", malformed, f.noWitness(), text(f.origin, "eleven", root)},
		{"size-leading-zero", "a size with a leading zero", malformed, f.noWitness(), text(f.origin, "011", root)},
		{"size-over-limit", "a size of 2^63", malformed, f.noWitness(), text(f.origin, "9223372036854775808", root)},
		{"root-not-base64", "a root that is not base64", malformed, f.noWitness(), text(f.origin, "11", "?"+root[1:])},
		{"root-short", "a root of 31 bytes", malformed, f.noWitness(), text(f.origin, "11", b64(f.tree.HashAt(11)[:31]))},
		{"empty-tree-root", "size 0 with the root of something", malformed, f.noWitness(), text(f.origin, "0", root)},
		{"empty-extension", "an empty extension line", malformed, f.noWitness(), text(f.origin, "11", root, "", "x")},
		{"cosignature-altered", "a witness's signature over another time", translog.CodeCosignatureInvalid, f.twoOfThree(), f.moveCosignature(f.cosigned(11, 0, 1), 1)},
		{"cosignature-repeated", "a witness's second signature, over another tree", translog.CodeCosignatureInvalid, f.twoOfThree(), f.cosigned(11, 0, 2) + lineOf(f.cosigned(10, 0), "w1.example/witness")},
		{"cosignature-time", "a time of 2^63", translog.CodeCosignatureInvalid, f.twoOfThree(), sign(f.text(11), f.signer, timeless(f.witnesses[0], "w1"))},
		{"quorum", "one witness where two are asked for", translog.CodeWitnessQuorum, f.twoOfThree(), f.cosigned(11, 1)},
	} {
		all = append(all, Vector{
			Name: "checkpoint-" + v.name, Kind: KindCheckpoint, Defect: v.defect, Code: string(v.code),
			Policy: v.policy, Checkpoint: v.checkpoint,
		})
	}
	return all
}

// lineOf returns the signature line of this name.
func lineOf(raw, name string) string {
	for line := range strings.Lines(raw) {
		if strings.HasPrefix(line, "\u2014 "+name+" ") {
			return line
		}
	}
	panic("vectorgen/log: no signature line of " + name)
}

// withoutLine drops the signature lines of this name.
func withoutLine(raw, name string) string {
	var kept strings.Builder
	for line := range strings.Lines(raw) {
		if !strings.HasPrefix(line, "— "+name+" ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// slack changes the last digit of the note's last signature within the bits
// that hold nothing.
func slack(raw string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	body := strings.TrimRight(raw, "=\n")
	last := strings.IndexByte(digits, body[len(body)-1])
	return body[:len(body)-1] + string(digits[last^1]) + raw[len(body):]
}

// moveCosignature adds a second to the time that witness w states.
func (f *fixture) moveCosignature(raw string, w int) string {
	name, _, _ := strings.Cut(f.witnesses[w].VerifierKey(), "+")
	prefix := "— " + name + " "
	i := strings.Index(raw, prefix) + len(prefix)
	line, rest, _ := strings.Cut(raw[i:], "\n")
	sig := unb64(line)
	sig[11]++ // key ID, then eight bytes of time
	return raw[:i] + b64(sig) + "\n" + rest
}

// lateSigner is a witness at a time that is out of range.
type lateSigner struct {
	witness *translogtest.Witness
	keyName string
}

func timeless(w *translogtest.Witness, keyName string) note.Signer { return &lateSigner{w, keyName} }

func (s *lateSigner) Name() string {
	name, _, _ := strings.Cut(s.witness.VerifierKey(), "+")
	return name
}

func (s *lateSigner) KeyHash() uint32 {
	var hash uint32
	_, rest, _ := strings.Cut(s.witness.VerifierKey(), "+")
	if _, err := fmt.Sscanf(rest[:8], "%08x", &hash); err != nil {
		panic(err)
	}
	return hash
}

func (s *lateSigner) Sign(msg []byte) ([]byte, error) {
	const at = uint64(1) << 63
	sig, err := key(s.keyName).Sign(nil, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg), hashZero)
	return append(binary.BigEndian.AppendUint64(nil, at), sig...), err
}
