package translog

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The limits of a policy file. tlog-policy asks for room for 32 of each.
const (
	MaxPolicyBytes      = 64 << 10
	maxPolicyComponents = 64 // logs, witnesses, groups: each
)

// ParsePolicy reads a policy in the format of C2SP tlog-policy:
//
//	log <vkey> [<url>]
//	witness <name> <vkey> [<url>]
//	group <name> all|any|<k> <name>...
//	quorum <name>|none
//
// Any log named is accepted, under its key and its own origin. The quorum line
// is mandatory, "quorum none" included, and so is a log: a policy that trusts
// nobody is refused. Log keys are Ed25519 (type 0x01), witness keys Ed25519
// cosignature/v1 (type 0x04). The error is a [*RejectedError] with
// [CodePolicyMalformed] that names the line.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicyBytes {
		return nil, reject(CodePolicyMalformed, "the policy has %d bytes, want at most %d", len(data), MaxPolicyBytes)
	}
	if i := bytes.IndexFunc(data, badOctet); i >= 0 {
		return nil, reject(CodePolicyMalformed, "octet 0x%02x at %d is not allowed", data[i], i)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, reject(CodePolicyMalformed, "the last line does not end in a newline")
	}
	f := newPolicyFile()
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if err := f.line(strings.FieldsFunc(line, isBlank)); err != nil {
			err.Reason = "line " + strconv.Itoa(number) + ": " + err.Reason
			return nil, err
		}
	}
	return f.policy()
}

// badOctet works on octets: what is above 0x7f is opaque (tlog-policy,
// "Character set"), and invalid UTF-8 arrives as U+FFFD.
func badOctet(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' || r == 0x7f }

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }

// policyFile is what the lines so far have defined.
type policyFile struct {
	logs       map[string][]note.Verifier
	logKeys    map[string]bool // raw public keys
	witKeys    map[string]bool
	listed     []Witness
	witnesses  []note.Verifier
	names      map[keyID]string
	components map[string]*component
	inGroup    map[string]bool
	groups     int
	quorum     *component
}

func newPolicyFile() *policyFile {
	return &policyFile{
		logs:       make(map[string][]note.Verifier),
		logKeys:    make(map[string]bool),
		witKeys:    make(map[string]bool),
		names:      make(map[keyID]string),
		components: make(map[string]*component),
		inGroup:    make(map[string]bool),
	}
}

func (f *policyFile) line(fields []string) *RejectedError {
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return nil
	}
	switch fields[0] {
	case "log":
		return f.log(fields[1:])
	case "witness":
		return f.witness(fields[1:])
	case "group":
		return f.group(fields[1:])
	case "quorum":
		return f.setQuorum(fields[1:])
	default:
		return reject(CodePolicyMalformed, "unknown keyword %q", fields[0])
	}
}

func (f *policyFile) log(args []string) *RejectedError {
	if len(args) < 1 || len(args) > 2 {
		return reject(CodePolicyMalformed, "a log line has a key and perhaps a URL, not %d fields", len(args))
	}
	key, err := parseKey(args[0], algEd25519)
	if err != nil {
		return reject(CodePolicyMalformed, "log key: %s", err.Reason)
	}
	if err := checkURL(args[1:]); err != nil {
		return err
	}
	if f.logKeys[string(key.public)] {
		return reject(CodePolicyMalformed, "a second log with the key of %q", key.name)
	}
	if len(f.logKeys) == maxPolicyComponents {
		return reject(CodePolicyMalformed, "more than %d logs", maxPolicyComponents)
	}
	f.logKeys[string(key.public)] = true
	f.logs[key.name] = append(f.logs[key.name], key.verifier)
	return nil
}

func (f *policyFile) witness(args []string) *RejectedError {
	if len(args) < 2 || len(args) > 3 {
		return reject(CodePolicyMalformed, "a witness line has a name, a key and perhaps a URL, not %d fields", len(args))
	}
	if err := f.checkNewName(args[0]); err != nil {
		return err
	}
	key, err := parseKey(args[1], algCosignatureV1)
	if err != nil {
		return reject(CodePolicyMalformed, "witness key: %s", err.Reason)
	}
	if err := checkURL(args[2:]); err != nil {
		return err
	}
	listed := Witness{Name: args[0], Key: args[1]}
	if len(args) == 3 {
		listed.URL = args[2]
	}
	if f.witKeys[string(key.public)] {
		return reject(CodePolicyMalformed, "a second witness with the key of %q", key.name)
	}
	if len(f.witKeys) == maxPolicyComponents {
		return reject(CodePolicyMalformed, "more than %d witnesses", maxPolicyComponents)
	}
	f.witKeys[string(key.public)] = true
	f.listed = append(f.listed, listed)
	f.witnesses = append(f.witnesses, key.verifier)
	f.names[keyID{key.name, key.verifier.KeyHash()}] = args[0]
	f.components[args[0]] = &component{witness: args[0]}
	return nil
}

func (f *policyFile) group(args []string) *RejectedError {
	if len(args) < 3 {
		return reject(CodePolicyMalformed, "a group line has a name, a threshold and members, not %d fields", len(args))
	}
	if err := f.checkNewName(args[0]); err != nil {
		return err
	}
	members := args[2:]
	threshold, err := parseThreshold(args[1], len(members))
	if err != nil {
		return err
	}
	if f.groups == maxPolicyComponents {
		return reject(CodePolicyMalformed, "more than %d groups", maxPolicyComponents)
	}
	f.groups++
	g := &component{threshold: threshold}
	for _, name := range members {
		m, ok := f.components[name]
		if !ok {
			return reject(CodePolicyMalformed, "group member %q is not defined above", name)
		}
		// Else one witness could count twice.
		if f.inGroup[name] {
			return reject(CodePolicyMalformed, "%q is a group member a second time", name)
		}
		f.inGroup[name] = true
		g.members = append(g.members, m)
	}
	f.components[args[0]] = g
	return nil
}

func (f *policyFile) setQuorum(args []string) *RejectedError {
	if len(args) != 1 {
		return reject(CodePolicyMalformed, "a quorum line has one name, not %d", len(args))
	}
	if f.quorum != nil {
		return reject(CodePolicyMalformed, "a second quorum line")
	}
	if args[0] == "none" {
		f.quorum = &component{}
		return nil
	}
	c, ok := f.components[args[0]]
	if !ok {
		return reject(CodePolicyMalformed, "quorum %q is not defined above", args[0])
	}
	f.quorum = c
	return nil
}

func (f *policyFile) policy() (*Policy, error) {
	if f.quorum == nil {
		return nil, reject(CodePolicyMalformed, "there is no quorum line; write \"quorum none\" to ask for no witness")
	}
	if len(f.logs) == 0 {
		return nil, reject(CodePolicyMalformed, "there is no log line, so no checkpoint could ever be accepted")
	}
	// Who may sign for the log and witness it vouches for itself.
	for key := range f.witKeys {
		if f.logKeys[key] {
			return nil, reject(CodePolicyMalformed, "a log's key is a witness's key as well")
		}
	}
	p := &Policy{logs: make(map[string]*trustedLog), listed: f.listed, witnesses: f.names, quorum: f.quorum}
	for origin, keys := range f.logs {
		l := &trustedLog{keys: make(map[keyID]bool), own: keys}
		for _, v := range keys {
			l.keys[keyID{v.Name(), v.KeyHash()}] = true
		}
		l.verifiers = note.VerifierList(append(append([]note.Verifier{}, keys...), f.witnesses...)...)
		p.logs[origin] = l
	}
	return p, nil
}

func (f *policyFile) checkNewName(name string) *RejectedError {
	if name == "none" {
		return reject(CodePolicyMalformed, "the name \"none\" is taken")
	}
	if f.components[name] != nil {
		return reject(CodePolicyMalformed, "%q is defined a second time", name)
	}
	return nil
}

func parseThreshold(s string, members int) (int, *RejectedError) {
	switch s {
	case "all":
		return members, nil
	case "any":
		return 1, nil
	}
	k, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(k) != s {
		return 0, reject(CodePolicyMalformed, "threshold %q is neither all nor any nor a number", s)
	}
	if k < 1 {
		return 0, reject(CodePolicyMalformed, "threshold %d asks for nobody", k)
	}
	if k > members {
		return 0, reject(CodePolicyMalformed, "threshold %d is over the %d members", k, members)
	}
	return k, nil
}

// checkURL checks the URL at the end of a line, if there is one.
func checkURL(args []string) *RejectedError {
	if len(args) == 0 {
		return nil
	}
	u, err := url.Parse(args[0])
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return reject(CodePolicyMalformed, "%q is not an http or https URL", args[0])
	}
	return nil
}
