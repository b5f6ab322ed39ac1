package translog

import "errors"

// MaxPolicyBytes is the size of the largest policy file accepted.
const MaxPolicyBytes = 64 << 10

// A Policy names whom to trust: logs by their keys, witnesses by theirs, and
// the quorum of witnesses without which a checkpoint counts for nothing. Make
// one with [ParsePolicy]; the zero Policy trusts nobody. It is safe for
// concurrent use.
type Policy struct{}

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
	return nil, errors.New("translog: not yet")
}
