package translog_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// Someone was given a record, its proof and the policy, and checks them offline.
func Example() {
	policyFile, proofFile := makeFiles()

	policy, err := translog.ParsePolicy(policyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := translog.ParseProof(proofFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := policy.Verify([]byte("entry 4"), proof)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("entry %d of %d in %s\n", in.Index(), in.Checkpoint().Size(), in.Checkpoint().Origin())

	_, err = policy.Verify([]byte("entry 5"), proof)
	var rejected *translog.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Code)
	}
	// Output:
	// entry 4 of 11 in log.example/calls
	// LOG_INCLUSION_INVALID
}

// makeFiles is the log's side.
func makeFiles() (policyFile, proofFile []byte) {
	ctx := context.Background()
	log := translogtest.NewLog("log.example/calls")
	for i := range 11 {
		_, _ = log.Append(ctx, [][]byte{fmt.Appendf(nil, "entry %d", i)})
	}
	cp, _ := log.Checkpoint(ctx)
	proof, _ := log.Prove(ctx, cp, 4)
	proofFile, _ = proof.MarshalText()
	return []byte("log " + log.VerifierKey() + "\nquorum none\n"), proofFile
}
