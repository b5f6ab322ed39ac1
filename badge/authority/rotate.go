package authority

import (
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	maxKeyOverlap = 24 * time.Hour
	keyOverlap    = time.Hour
)

type rotateRequest struct {
	// OverlapSeconds is how long the key that sent the request goes on to be valid; absent means an hour.
	OverlapSeconds *int64 `json:"overlap_seconds"`
}

// postRotateKey replaces the account key that sent the request, and shows the new one this once.
func (a *Authority) postRotateKey(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, store.ScopeIssue)
	if err != nil {
		return err
	}
	var body rotateRequest
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	overlap := keyOverlap
	if body.OverlapSeconds != nil {
		if n := *body.OverlapSeconds; n < 0 || n > int64(maxKeyOverlap/time.Second) {
			return refuse(http.StatusBadRequest, CodeInvalidRequest, "overlap_seconds is %d: from 0 to %d", n, maxKeyOverlap/time.Second)
		}
		overlap = time.Duration(*body.OverlapSeconds) * time.Second
	}
	if err := a.rates.request("rotate", c.account); err != nil {
		return err
	}
	old, err := a.store.AccountKey(r.Context(), c.keyID)
	if err != nil {
		return err
	}
	rotation, key, err := a.rotate(r.Context(), old, c.keyID, overlap)
	if err != nil {
		return stored(err, CodeNotFound)
	}
	answer(w, http.StatusCreated, map[string]string{
		"key": key.Reveal(), "key_id": rotation.Next.ID, "old_key_ends_at": rotation.Until.UTC().Format(time.RFC3339),
	})
	return nil
}
