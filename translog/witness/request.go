package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/touchmark-dev/touchmark/translog"
)

// The limits of a request. A witness remembers what it is sent, so that its
// checkpoints are smaller than those that others read.
const (
	MaxCheckpointBytes = 16 << 10
	MaxRequestBytes    = MaxCheckpointBytes + 4<<10 // with 63 hashes and a size
)

// SizeType is the media type of an answer that tells the size a witness knows.
const SizeType = "text/x.tlog.size"

const addPath = "/add-checkpoint"

// A Request asks a witness to cosign a checkpoint (spec/witness.md section 2).
type Request struct {
	Old        uint64     // size of the tree that the witness cosigned last
	Proof      [][32]byte // consistency of the two trees
	Checkpoint []byte     // signed note
}

// MarshalText returns the body of the request. It refuses one that
// [ParseRequest] would refuse.
func (r *Request) MarshalText() ([]byte, error) {
	b := append(strconv.AppendUint([]byte("old "), r.Old, 10), '\n')
	for _, h := range r.Proof {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	b = append(append(b, '\n'), r.Checkpoint...)
	if _, err := ParseRequest(b); err != nil {
		return nil, err
	}
	return b, nil
}

// ParseRequest reads the body of a request. It accepts only the encoding that
// MarshalText makes. The checkpoint in it is not read.
func ParseRequest(body []byte) (*Request, error) {
	if len(body) > MaxRequestBytes {
		return nil, fmt.Errorf("witness: the request has more than %d bytes", MaxRequestBytes)
	}
	first, rest, ok := bytes.Cut(body, []byte("\n"))
	digits, isOld := bytes.CutPrefix(first, []byte("old "))
	old, err := strconv.ParseUint(string(digits), 10, 63)
	if !ok || !isOld || err != nil || strconv.FormatUint(old, 10) != string(digits) {
		return nil, errors.New("witness: the first line is not \"old\" and a size")
	}
	r := &Request{Old: old}
	for {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		rest = after
		switch {
		case !ok:
			return nil, errors.New("witness: the request ends before the empty line")
		case len(line) == 0 && len(rest) == 0:
			return nil, errors.New("witness: no checkpoint follows the empty line")
		case len(line) == 0 && len(rest) > MaxCheckpointBytes:
			return nil, fmt.Errorf("witness: the checkpoint has %d bytes, want at most %d", len(rest), MaxCheckpointBytes)
		case len(line) == 0:
			r.Checkpoint = bytes.Clone(rest)
			return r, nil
		case len(r.Proof) == translog.MaxProofHashes:
			return nil, fmt.Errorf("witness: more than %d hashes", translog.MaxProofHashes)
		}
		hash, err := base64.StdEncoding.Strict().DecodeString(string(line))
		if err != nil || len(hash) != 32 || len(line) != base64.StdEncoding.EncodedLen(32) {
			return nil, errors.New("witness: a proof line is not the base64 of 32 bytes")
		}
		r.Proof = append(r.Proof, [32]byte(hash))
	}
}
