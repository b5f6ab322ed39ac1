package translog_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/testvectors"
	"github.com/touchmark-dev/touchmark/translog"
)

type vector struct {
	Name, Kind, Comment, Defect, Code string
	Policy, Checkpoint, Entry, Proof  string
	Older, Newer                      string
	Hashes, Roots                     [][]byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	names, err := fs.Glob(testvectors.FS, "log/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var all []vector
	for _, name := range names {
		data, err := testvectors.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if "log/"+v.Name+".json" != name {
			t.Fatalf("%s calls itself %q", name, v.Name)
		}
		all = append(all, v)
	}
	return all
}

// judge does what the kind of the vector asks for.
func (v *vector) judge(t *testing.T) error {
	t.Helper()
	if v.Kind == "proof" {
		_, err := translog.ParseProof([]byte(v.Proof))
		return err
	}
	policy, err := translog.ParsePolicy([]byte(v.Policy))
	if v.Kind == "policy" || err != nil {
		return err
	}
	switch v.Kind {
	case "checkpoint":
		_, err := policy.VerifyCheckpoint([]byte(v.Checkpoint))
		return err
	case "inclusion":
		proof, err := translog.ParseProof([]byte(v.Proof))
		if err != nil {
			return err
		}
		_, err = policy.Verify([]byte(v.Entry), proof)
		return err
	case "consistency":
		return v.judgeConsistency(t, policy)
	}
	t.Fatalf("unknown kind %q", v.Kind)
	return nil
}

func (v *vector) judgeConsistency(t *testing.T, policy *translog.Policy) error {
	t.Helper()
	older, err := policy.VerifyCheckpoint([]byte(v.Older))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := policy.VerifyCheckpoint([]byte(v.Newer))
	if err != nil {
		t.Fatal(err)
	}
	var hashes [][32]byte
	for _, h := range v.Hashes {
		hashes = append(hashes, [32]byte(h))
	}
	err = translog.VerifyConsistency(older, newer, hashes)
	checkEvidence(t, err, v)
	return err
}

// checkEvidence: a fork is worth nothing once its two checkpoints are gone.
func checkEvidence(t *testing.T, err error, v *vector) {
	t.Helper()
	var r *translog.RejectedError
	if errors.As(err, &r) && (string(r.Older) != v.Older || string(r.Checkpoint) != v.Newer || len(r.Proof) != len(v.Hashes)) {
		t.Errorf("the error does not keep both checkpoints and the proof: %+v", r)
	}
}

// operands are what makes two refusals by one branch read differently.
var operands = regexp.MustCompile(`"[^"]*"|0x[0-9a-f]+|line \d+: |[0-9]+|[^ ]+\+[0-9a-f]{8}`)

func TestVectors(t *testing.T) {
	branches := make(map[string]string)
	for _, v := range vectors(t) {
		if v.Kind == "roots" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			err := v.judge(t)
			if got := translog.CodeOf(err); string(got) != v.Code || (err == nil) != (v.Code == "") {
				t.Fatalf("got %v, want code %q", err, v.Code)
			}
			if err == nil {
				return
			}
			branch := operands.ReplaceAllString(err.Error(), "_")
			if other := branches[branch]; other != "" {
				t.Errorf("refused by the same branch as %s: %v", other, err)
			}
			branches[branch] = v.Name
		})
	}
	if len(branches) < 60 {
		t.Errorf("the vectors reach %d refusing branches, want at least 60", len(branches))
	}
}

// TestGoldenRoots computes the roots of sizes 0 to 1024 with two
// implementations that share no code.
func TestGoldenRoots(t *testing.T) {
	for _, v := range vectors(t) {
		if v.Kind != "roots" {
			continue
		}
		if len(v.Roots) != 1025 {
			t.Fatalf("%d roots, want 1025", len(v.Roots))
		}
		byRange := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			hashes := make([]tlog.Hash, len(indexes))
			for i, index := range indexes {
				hashes[i] = stored[index]
			}
			return hashes, nil
		})
		for size, want := range v.Roots {
			got, err := byRange.GetRootHash(nil)
			if err == nil && size == 0 {
				got = rfc6962.DefaultHasher.EmptyRoot()
			}
			if err != nil || string(got) != string(want) {
				t.Fatalf("merkle: root of size %d: %x, %v", size, got, err)
			}
			if got, err := tlog.TreeHash(int64(size), reader); err != nil || string(got[:]) != string(want) {
				t.Fatalf("x/mod: root of size %d: %x, %v", size, got, err)
			}
			entry := []byte("entry " + strconv.Itoa(size))
			leaf := translog.LeafHash(entry)
			if err := byRange.Append(leaf[:], nil); err != nil {
				t.Fatal(err)
			}
			hashes, err := tlog.StoredHashes(int64(size), entry, reader)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, hashes...)
		}
		return
	}
	t.Fatal("no golden roots among the vectors")
}
