package authority

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	orderPrefix   = "ord_"
	httpOrderLife = 10 * time.Minute
	dnsOrderLife  = 30 * time.Minute
	orderAttempts = 10
)

type orderRequest struct {
	Domain        string          `json:"domain"`
	ChallengeType string          `json:"challenge_type"`
	AgentKey      json.RawMessage `json:"agent_public_key_jwk"`
	AccountID     string          `json:"account_id"` // of a persistent account, instead of domain and challenge_type

	CompatKey json.RawMessage `json:"jwk"` // what published clients call agent_public_key_jwk
}

type orderAnswer struct {
	ID         string          `json:"order_id"`
	Domain     string          `json:"domain"`
	Status     string          `json:"status"`
	Thumbprint string          `json:"agent_key_thumbprint"`
	Challenge  *orderChallenge `json:"challenge,omitempty"`
	ExpiresAt  string          `json:"expires_at"`
	GrantID    string          `json:"grant_jti,omitempty"`

	// Names of the same in clients that depart from the documents.
	CompatID   string `json:"id,omitempty"`
	CompatType string `json:"challenge_type,omitempty"`
}

type orderChallenge struct {
	Type    string `json:"type"`
	Token   string `json:"token"`
	URL     string `json:"url,omitempty"`    // where http-01 looks
	Record  string `json:"record,omitempty"` // the TXT record that dns-01 looks for
	Content string `json:"expected_content"`
}

func (a *Authority) shownOrder(o *store.Order) *orderAnswer {
	out := &orderAnswer{
		ID: o.ID, Domain: o.Domain, Status: o.Status, Thumbprint: o.Thumbprint, ExpiresAt: o.ExpiresAt.UTC().Format(time.RFC3339),
		GrantID: o.GrantID,
	}
	if !o.ExpiresAt.After(a.now()) && (o.Status == store.OrderPending || o.Status == store.OrderReady) {
		out.Status = "expired"
	}
	if o.Token != "" {
		out.Challenge = &orderChallenge{Type: o.Type, Token: o.Token, Content: domain.Content(o.Token, o.Thumbprint)}
		if o.Type == store.HTTP01 {
			out.Challenge.URL = domain.URL(o.Domain, o.Token)
		} else {
			out.Challenge.Record = domain.Record(o.Domain)
		}
	}
	if a.cfg.AllowCompat {
		out.CompatID, out.CompatType = o.ID, o.Type
	}
	return out
}

// postOrder is spec/issuance.md, "Orders".
func (a *Authority) postOrder(w http.ResponseWriter, r *http.Request) error {
	c, err := a.orderer(r)
	if err != nil {
		return err
	}
	var body orderRequest
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	if body.CompatKey != nil {
		if !a.cfg.AllowCompat {
			return refuse(http.StatusBadRequest, CodeCompatOff, "the request has jwk, as older clients send it: send agent_public_key_jwk, or have the operator allow compat")
		}
		body.AgentKey = body.CompatKey
	}
	o, err := a.newOrder(r.Context(), c, &body)
	if err != nil {
		return err
	}
	if err := a.rates.request("order", c.account+" "+o.Domain); err != nil {
		return err
	}
	if c.account == "" { // strangers have as many names as they like, and each order is logged for ever
		if err := a.rates.request("orders of anybody", ""); err != nil {
			return err
		}
	}
	act, err := a.act(o.CreatedAt, c.keyID, &Entry{
		Type: EntryOrderCreated, Order: o.ID, Domain: o.Domain, Key: o.Thumbprint, Account: o.AccountID,
	})
	if err != nil {
		return err
	}
	if err := a.store.AddOrder(r.Context(), o, store.OrderLimits{}, act); err != nil {
		return orderRefused(err)
	}
	answer(w, http.StatusCreated, a.shownOrder(o))
	return nil
}

// orderer returns who orders: an account, unless orders are open to anybody.
func (a *Authority) orderer(r *http.Request) (*caller, error) {
	if a.cfg.AllowAnonymousOrders && len(r.Header.Values(headerAccountKey)) == 0 && r.Header.Get("Authorization") == "" {
		return &caller{keyID: byAnybody}, nil
	}
	return a.authenticate(r, store.ScopeIssue)
}

func (a *Authority) newOrder(ctx context.Context, c *caller, body *orderRequest) (*store.Order, error) {
	key, thumbprint, err := ed25519Key(body.AgentKey)
	if err != nil {
		return nil, err
	}
	now := a.now()
	o := &store.Order{
		ID: orderPrefix + uuid.NewString(), AccountID: c.account, Thumbprint: thumbprint, KeyJWK: key, CreatedAt: now,
		ExpiresAt: now.Add(httpOrderLife),
	}
	if c.account != "" {
		o.CreatorKey = c.keyID
	}
	if body.AccountID != "" {
		return o, a.readyOrder(ctx, o, body)
	}
	if o.Domain, err = domain.CheckDomain(body.Domain); err != nil {
		return nil, domainRefused(err)
	}
	switch body.ChallengeType {
	case store.HTTP01:
	case store.DNS01:
		o.ExpiresAt = now.Add(dnsOrderLife)
	default:
		return nil, refuse(http.StatusBadRequest, CodeUnsupportedChallenge, `challenge_type is %.100q: send "http-01" or "dns-01"`, body.ChallengeType)
	}
	o.Type, o.Token, o.Status = body.ChallengeType, domain.NewToken(), store.OrderPending
	return o, nil
}

// readyOrder completes an order of a persistent account, whose domain was validated before.
func (a *Authority) readyOrder(ctx context.Context, o *store.Order, body *orderRequest) error {
	switch {
	case o.AccountID == "":
		return errNoKey
	case body.Domain != "" || body.ChallengeType != "":
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "with account_id the domain is that of the account: send neither domain nor challenge_type")
	}
	d, err := a.ownedDVAccount(ctx, o.AccountID, body.AccountID)
	if err != nil {
		return err
	}
	o.DVAccountID, o.Domain, o.Status = d.ID, d.Domain, store.OrderReady
	return nil
}

// ownOrder returns an order and who may see it: the account key that made it, or anybody who knows the id of an order
// that nobody's account made.
func (a *Authority) ownOrder(r *http.Request) (*store.Order, *caller, error) {
	c, err := a.orderer(r)
	if err != nil {
		return nil, nil, err
	}
	o, err := a.store.Order(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, nil, stored(err, CodeOrderNotFound)
	}
	if o.AccountID != "" && o.AccountID != c.account {
		return nil, nil, refuse(http.StatusNotFound, CodeOrderNotFound, "there is no order %.200q", r.PathValue("id"))
	}
	return o, c, nil
}

func (a *Authority) getOrder(w http.ResponseWriter, r *http.Request) error {
	o, _, err := a.ownOrder(r)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, a.shownOrder(o))
	return nil
}

// postFinalize is spec/issuance.md, "Orders": it looks whether the domain shows what it should, and issues the grant.
func (a *Authority) postFinalize(w http.ResponseWriter, r *http.Request) error {
	o, c, err := a.ownOrder(r)
	if err != nil {
		return err
	}
	if o.AccountID != "" && o.CreatorKey != c.keyID {
		return refuse(http.StatusForbidden, CodeForbidden, "the order was made with another account key: finalize it with that, or order again")
	}
	if err := a.logInTime(r.Context()); err != nil {
		return err
	}
	if err := a.rates.request("finalize", o.ID); err != nil {
		return err
	}
	if o, err = a.store.TryOrder(r.Context(), store.Try{OrderID: o.ID, Max: orderAttempts, At: a.now()}); err != nil {
		return orderRefused(err)
	}
	if err := a.validate(r.Context(), o); err != nil {
		a.giveUp(r.Context(), o, c)
		return a.challengeRefused(r.Context(), o.ID, err)
	}
	out, err := a.issueGrant(r.Context(), o, c)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (a *Authority) validate(ctx context.Context, o *store.Order) error {
	want := domain.Content(o.Token, o.Thumbprint)
	switch {
	case o.Status == store.OrderReady:
		return nil
	case o.Type == store.HTTP01:
		return a.domains.HTTP01(ctx, o.Domain, o.Token, want)
	case o.Type == store.DNS01:
		return a.domains.DNS01(ctx, o.Domain, want)
	}
	return errors.New("authority: internal error: an order that cannot be validated")
}

// giveUp ends an order that failed as often as it may.
func (a *Authority) giveUp(ctx context.Context, o *store.Order, c *caller) {
	if o.Attempts < orderAttempts {
		return
	}
	act, err := a.act(a.now(), c.keyID, &Entry{Type: EntryOrderFailed, Order: o.ID, Domain: o.Domain, Account: o.AccountID})
	if err == nil {
		err = a.store.FailOrder(ctx, o.ID, act)
	}
	if err != nil {
		a.log.ErrorContext(ctx, "giving up an order failed", "order", o.ID, "err", err)
	}
}

// orderRefused makes the refusal of a client from one of the store about an order.
func orderRefused(err error) error {
	e, ok := errors.AsType[*store.Error](err)
	if !ok {
		return stored(err, CodeOrderNotFound)
	}
	switch {
	case e.What == "domain" && errors.Is(e, store.ErrOwner):
		return refuse(http.StatusConflict, CodeDomainTaken, "%q is validated for another account, until its grant is over or an administrator revokes it", e.ID)
	case e.What != "order":
		return dvAccountRefused(err)
	case errors.Is(e, store.ErrExpired):
		return refuse(http.StatusBadRequest, CodeOrderExpired, "order %.100q is over: order again", e.ID)
	case errors.Is(e, store.ErrUsed):
		return refuse(http.StatusConflict, CodeOrderFinalized, "order %.100q had its grant: order again if that was lost", e.ID)
	case errors.Is(e, store.ErrNotFound):
		return stored(err, CodeOrderNotFound)
	}
	return refuse(http.StatusConflict, CodeOrderInvalid, "order %.100q failed too often: order again", e.ID)
}
