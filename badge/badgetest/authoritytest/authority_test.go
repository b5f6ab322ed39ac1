package authoritytest_test

import (
	"testing"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
)

func TestSmoke(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	b := a.Issue(ada)
	if _, err := a.Verifier().Verify(t.Context(), b.Token()); err != nil {
		t.Fatal(err)
	}
}
