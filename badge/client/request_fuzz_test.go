package client_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/client"
)

// What an authority answers is a badge that was asked for, or an AnswerError.
func FuzzAnswer(f *testing.F) {
	ca, agent, now := badgetest.New(f), badgetest.NewWebAgent(f, "did:web:agents.example:ada"), time.Now()
	account, err := client.NewAccountKey("k")
	if err != nil {
		f.Fatal(err)
	}
	r, err := client.NewRequester(&client.RequesterConfig{
		Issuer: badgetest.Issuer, Subject: agent.DID, AccountKey: account, Assurance: badge.AssuranceAccount, Key: agent.Key,
		Time: func() time.Time { return now },
	})
	if err != nil {
		f.Fatal(err)
	}
	token := ca.Issue(agent, badge.LevelDomain)
	u, err := badge.Inspect(token)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(map[string]string{"badge": token, "jti": u.BadgeID})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := r.ReadAnswer(good, now); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(good), "", "{}", "null", `{"badge":"a.b.c"}`, `{"badge":1}`, string(good) + "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := r.ReadAnswer(data, now)
		var answer *client.AnswerError
		switch {
		case err != nil && (b != nil || !errors.As(err, &answer)):
			t.Errorf("%v, %v", b, err)
		case err == nil && (b.ID != u.BadgeID || b.Subject != agent.DID || !b.Valid(now)):
			t.Errorf("%#v of %q", b, data)
		}
	})
}
