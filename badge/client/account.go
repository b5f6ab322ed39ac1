package client

import (
	"errors"
	"log/slog"
	"strings"
)

const maxAccountKey = 512

// An AccountKey identifies an account to an authority. It has no text form, so
// that no log shows it; nor has it a way back to the text.
type AccountKey struct{ text string }

// NewAccountKey makes an AccountKey of its text, without the white space
// around it that a file may have. It refuses what no header could carry.
func NewAccountKey(text string) (AccountKey, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxAccountKey || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return AccountKey{}, errors.New("badge/client: the account key is empty, too long, or not visible ASCII")
	}
	return AccountKey{text}, nil
}

const hidden = "[account key]"

// String hides the key.
func (AccountKey) String() string { return hidden }

// GoString hides the key from %#v.
func (AccountKey) GoString() string { return hidden }

// MarshalText hides the key from encoders.
func (AccountKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the key from log/slog.
func (AccountKey) LogValue() slog.Value { return slog.StringValue(hidden) }
