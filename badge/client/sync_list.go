package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// A HistoryError reports a list that is well signed and does not follow the one
// that is in use, which stays in use. It is older (a mirror that is behind, or
// one that hides what was revoked meanwhile), or it has another history: the
// issuer signed two, or lost revocations.
type HistoryError struct {
	Issuer   string
	Source   string // URL it came from
	Reason   string
	Old, New string // the signed lists, which prove it
}

func (e *HistoryError) Error() string {
	return fmt.Sprintf("badge/client: list of %q from %q: %s", e.Issuer, e.Source, e.Reason)
}

// Sync fetches the list once. Nil means that there is a recent list now, less
// than half of badge.MaxStatusAge old, in the file too. After an error there is
// the newest that could be had, if there is one, and its age tells.
func (s *RevocationSync) Sync(ctx context.Context) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	var failures []error
	for _, url := range s.urls {
		err := s.syncFrom(ctx, url)
		if err == nil {
			if age := s.age(); age > badge.MaxStatusAge/2 {
				err = fmt.Errorf("badge/client: list of %q from %q: it is %v old", s.cfg.Issuer, url, age)
			}
		}
		if err == nil {
			s.report(failures)
			return s.save()
		}
		failures = append(failures, err)
	}
	return errors.Join(append(failures, s.save())...)
}

// age returns how old the list in use is.
func (s *RevocationSync) age() time.Duration { return s.cfg.Time().Sub(s.List().AsOf()) }

// report tells of mirrors that another one made up for.
func (s *RevocationSync) report(failures []error) {
	for _, err := range failures {
		if s.cfg.OnError != nil {
			s.cfg.OnError(err, 0)
		}
	}
}

func (s *RevocationSync) syncFrom(ctx context.Context, url string) error {
	data, err := safehttp.Get(ctx, s.http, url, badge.MaxRevocationListBytes+1)
	if err != nil {
		return fmt.Errorf("badge/client: list of %q: %w", s.cfg.Issuer, err)
	}
	token := strings.TrimSuffix(string(data), "\n") // files have one
	list, _, err := s.verify(ctx, token)
	if err != nil {
		return fmt.Errorf("badge/client: list of %q from %q: %w", s.cfg.Issuer, url, err)
	}
	if early := list.AsOf().Sub(s.cfg.Time()); early > badge.MaxSkew {
		// It would keep its successors out until then.
		return fmt.Errorf("badge/client: list of %q from %q: it is from the future, by %v: set the clock", s.cfg.Issuer, url, early)
	}
	s.mu.Lock()
	old, oldToken := s.list, s.token
	s.mu.Unlock()
	if token == oldToken {
		return nil
	}
	if old != nil {
		if err := list.Follows(old); err != nil {
			return &HistoryError{Issuer: s.cfg.Issuer, Source: url, Reason: err.Error(), Old: oldToken, New: token}
		}
	}
	s.use(list, token)
	s.unsaved = s.cfg.File != ""
	if s.cfg.OnList != nil {
		s.cfg.OnList(list)
	}
	return nil
}

// save writes the list to its file. One that cannot be written is used all the
// same, for it may revoke more, and is written with the next Sync.
func (s *RevocationSync) save() error {
	if !s.unsaved {
		return nil
	}
	if err := durable.WriteFile(durable.OS{}, s.cfg.File, []byte(s.token)); err != nil {
		return fmt.Errorf("badge/client: the list could not be written to its file: %w", err)
	}
	s.unsaved = false
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filed = s.list
	return nil
}

func (s *RevocationSync) use(list *badge.RevocationList, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.token = list, token
}

// verify verifies a list with the issuer's keys. known is false when it is
// signed with a key that the issuer does not publish.
func (s *RevocationSync) verify(ctx context.Context, token string) (list *badge.RevocationList, known bool, err error) {
	m, err := jws.ParseMax(token, badge.MaxRevocationListBytes)
	if err != nil {
		return nil, true, err
	}
	key, err := keyNamed(ctx, s.cfg.Keys, s.cfg.Issuer, m.Kid)
	if err != nil {
		return nil, true, err
	}
	if err := s.checkWithdrawn(ctx, m.Kid); err != nil {
		return nil, true, err
	}
	var keys []badge.Key
	if key != nil {
		keys = []badge.Key{{ID: m.Kid, Public: key}}
	}
	list, err = badge.ParseRevocationList(token, s.cfg.Issuer, keys)
	return list, key != nil, err
}

// checkWithdrawn refuses a key that the list in use withdraws: whoever stole it
// would use it to take that back.
func (s *RevocationSync) checkWithdrawn(ctx context.Context, id string) error {
	list := s.List()
	if list == nil {
		return nil
	}
	status, err := list.Status(ctx, badge.StatusQuery{Issuer: s.cfg.Issuer, IssuerKeyID: id})
	if err != nil {
		return err
	}
	if status.KeyWithdrawn {
		return fmt.Errorf("it is signed with key %.100q, which the issuer withdrew", id)
	}
	return nil
}

// load takes the list from File, once its keys can be had. One that is signed
// with a key that has left the issuer's set since is too old to be of use; one
// that is damaged is an error until somebody removes it.
func (s *RevocationSync) load(ctx context.Context) error {
	if s.stored || s.cfg.File == "" {
		return nil
	}
	data, err := durable.ReadFile(durable.OS{}, s.cfg.File, badge.MaxRevocationListBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		s.stored = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("badge/client: %w", err)
	}
	token := strings.TrimSuffix(string(data), "\n")
	list, known, err := s.verify(ctx, token)
	switch {
	case err == nil:
		s.use(list, token)
		s.mu.Lock()
		s.filed = list
		s.mu.Unlock()
	case known:
		return fmt.Errorf("badge/client: list in file %q: %w: if it is damaged, remove it", s.cfg.File, err)
	}
	s.stored = true
	return nil
}
