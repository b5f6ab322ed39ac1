package log

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
)

func (f *fixture) policies() []Vector {
	return append(f.goodPolicies(), f.badPolicies()...)
}

func (f *fixture) goodPolicies() []Vector {
	rotated := signer(f.origin, "log, next key")
	var all []Vector
	for _, v := range []struct{ name, comment, policy string }{
		{"minimal", "one log, no witness", f.noWitness()},
		{"two-of-three", "a group with a numeric threshold", f.twoOfThree()},
		{"single-witness", "the quorum is a witness", f.policy(f.witnessLine(0), "quorum w1")},
		{"nested-groups", "groups in groups, any and all", f.policy(f.witnessLine(0), f.witnessLine(1), f.witnessLine(2),
			"group a any w1 w2", "group b all w3", "group c all a b", "quorum c")},
		{"layout", "tabs, blank lines, comments, blanks at both ends", "# whom we trust\n\n \t log\t" + f.signer.VerifierKey() + " \n\t# nobody else\nquorum   none\t\n"},
		{"urls", "URLs are allowed and mean nothing offline", f.policy(f.witnessLine(0)+" https://w1.example/", "quorum w1")},
		{"key-rotation", "two keys of one origin", f.policy("log "+rotated.VerifierKey(), "quorum none")},
		{"quorum-before-witness", "what the quorum does not need may follow it", f.policy("quorum none", f.witnessLine(0))},
		{"opaque-names", "names are opaque: a Kelvin sign is no K", f.policy(
			strings.Replace(f.witnessLine(0), "w1", "K", 1), strings.Replace(f.witnessLine(1), "w2", "\u212a", 1), "group g all K \u212a", "quorum g")},
	} {
		all = append(all, Vector{Name: "policy-" + v.name, Kind: KindPolicy, Comment: v.comment, Policy: v.policy})
	}
	return all
}

func (f *fixture) badPolicies() []Vector {
	logKey, witnessKey := f.signer.VerifierKey(), f.witnesses[0].VerifierKey()
	w1, w2, w3 := f.witnessLine(0), f.witnessLine(1), f.witnessLine(2)
	sameKey := signer("log.example/alias", "log")
	selfWitness := strings.Replace(witnessFor("self.example", "log"), "X", "self", 1)
	var all []Vector
	for _, v := range []struct{ name, defect, policy string }{
		{"control-character", "a carriage return", "log " + logKey + "\r\nquorum none\n"},
		{"unterminated", "the last line has no newline", "log " + logKey + "\nquorum none"},
		{"unknown-keyword", "a keyword of no meaning", f.policy("trust everybody", "quorum none")},
		{"no-log", "no log, so nothing can be accepted", "quorum none\n"},
		{"log-without-key", "a log line without a key", "log\nquorum none\n"},
		{"log-key-unreadable", "a log key that is not a vkey", "log " + f.origin + "\nquorum none\n"},
		{"log-key-wrong-type", "a witness's key for a log", "log " + witnessKey + "\nquorum none\n"},
		{"log-key-wrong-id", "a key ID that does not belong to the key", "log " + wrongID(logKey) + "\nquorum none\n"},
		{"log-key-upper-case", "a key ID in capitals", "log " + upperID(logKey) + "\nquorum none\n"},
		{"log-key-small-order", "a point of small order, under which anybody can sign", "log " + smallOrderKey(f.origin) + "\nquorum none\n"},
		{"log-twice", "one key under two origins", f.policy("log "+sameKey.VerifierKey(), "quorum none")},
		{"url-without-host", "a URL that leads nowhere", "log " + logKey + " log.example\nquorum none\n"},
		{"witness-without-key", "a witness line without a key", f.policy("witness w1", "quorum none")},
		{"witness-named-none", "the predefined name", f.policy("witness none "+witnessKey, "quorum none")},
		{"witness-key-wrong-type", "a log's key for a witness", f.policy("witness w1 "+f.other.VerifierKey(), "quorum none")},
		{"witness-name-twice", "one name for two witnesses", f.policy(w1, strings.Replace(w2, "w2", "w1", 1), "quorum none")},
		{"witness-key-twice", "one key for two witnesses", f.policy(w1, strings.Replace(w1, "w1", "w2", 1), "quorum none")},
		{"log-is-witness", "the log's key witnesses the log", f.policy(selfWitness, "quorum self")},
		{"group-without-members", "a group of nobody", f.policy(w1, "group g all", "quorum g")},
		{"group-threshold-word", "a threshold that is no number", f.policy(w1, w2, "group g most w1 w2", "quorum g")},
		{"group-threshold-zero", "a threshold that asks for nobody", f.policy(w1, w2, "group g 0 w1 w2", "quorum g")},
		{"group-threshold-over", "a threshold over the members", f.policy(w1, w2, "group g 3 w1 w2", "quorum g")},
		{"group-unknown-member", "a member that no line above defines", f.policy(w1, "group g all w1 w2", w2, "quorum g")},
		{"group-member-twice", "one witness counted twice, through two groups", f.policy(w1, w2, w3, "group a any w1 w2", "group b 2 a w1", "quorum b")},
		{"quorum-missing", "no quorum line", f.policy(w1)},
		{"quorum-without-name", "a quorum of no name", f.policy("quorum")},
		{"quorum-twice", "two quorum lines", f.policy(w1, "quorum w1", "quorum none")},
		{"quorum-unknown", "a quorum that no line above defines", f.policy("quorum w1", w1)},
		{"too-many-logs", "65 logs", f.policy(append(manyLogs(64), "quorum none")...)},
		{"too-many-witnesses", "65 witnesses", f.policy(append(manyWitnesses(65), "quorum none")...)},
		{"too-many-groups", "65 groups", f.policy(append(append(manyWitnesses(1), manyGroups(65)...), "quorum none")...)},
	} {
		all = append(all, Vector{
			Name: "policy-" + v.name, Kind: KindPolicy, Defect: v.defect, Policy: v.policy,
			Code: string(translog.CodePolicyMalformed),
		})
	}
	return all
}

func wrongID(vkey string) string {
	name, rest, _ := strings.Cut(vkey, "+")
	id, k, _ := strings.Cut(rest, "+")
	if id[0] == '0' {
		return name + "+1" + id[1:] + "+" + k
	}
	return name + "+0" + id[1:] + "+" + k
}

// upperID writes the key ID in capitals.
func upperID(vkey string) string {
	name, rest, _ := strings.Cut(vkey, "+")
	return name + "+" + strings.ToUpper(rest[:8]) + rest[8:]
}

func smallOrderKey(origin string) string {
	vkey, err := note.NewEd25519VerifierKey(origin, append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic(err)
	}
	return vkey
}

// witnessFor is a line for the witness X under the key of this name.
func witnessFor(name, keyName string) string {
	return "witness X " + translogtestKey(name, keyName)
}

func manyLogs(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = "log " + signer("log.example/many", fmt.Sprint("log ", i)).VerifierKey()
	}
	return lines
}

func manyWitnesses(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = strings.Replace(witnessFor(fmt.Sprintf("m%d.example", i), fmt.Sprint("many ", i)), "X", fmt.Sprint("m", i), 1)
	}
	return lines
}

func manyGroups(n int) []string {
	lines := make([]string, n)
	member := "m0"
	for i := range lines {
		name := fmt.Sprint("g", i)
		lines[i] = "group " + name + " all " + member
		member = name
	}
	return lines
}
