package vault_test

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/vault"
)

func Example() {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	master, err := vault.NewMasterKey() // to be kept in a file, apart from the vault
	if err != nil {
		panic(err)
	}
	wrapper, err := vault.ParseMasterKey(master)
	if err != nil {
		panic(err)
	}
	v, err := vault.Open(&vault.Config{Dir: dir, Wrapper: wrapper}) // for evidence.LedgerConfig.Vault
	if err != nil {
		panic(err)
	}

	yesterday := time.Now().Add(-vault.Period)
	sealer, err := v.Sealer(yesterday)
	if err != nil {
		panic(err)
	}
	var journal evidence.JournalID
	sealed := sealer.Seal(append(make([]byte, evidence.SealedPrefix), "the salt"...), 0, &journal, 7)
	plain, _ := v.Open(journal, 7, sealed)
	fmt.Printf("%s\n", plain)

	if _, err := v.EraseBefore(time.Now()); err != nil {
		panic(err)
	}
	_, err = v.Open(journal, 7, sealed)
	fmt.Println(errors.Is(err, evidence.ErrPrivateErased))
	// Output:
	// the salt
	// true
}
