package sqlstore

import (
	"database/sql"
	"fmt"
	"time"
)

// Micros returns a time as columns hold it: microseconds since 1970, or NULL for the zero time.
func Micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// Time reads what [Micros] wrote into t.
func Time(t *time.Time) sql.Scanner { return timeScanner{t} }

type timeScanner struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (s timeScanner) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		*s.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("sqlstore: %T is no time", src)
	}
	return nil
}

// Text returns a string as a nullable column holds it: NULL for the empty one.
func Text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// String reads what [Text] wrote into s.
func String(s *string) sql.Scanner { return stringScanner{s} }

type stringScanner struct{ s *string }

// Scan implements [sql.Scanner].
func (s stringScanner) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.s = ""
	case string:
		*s.s = v
	case []byte:
		*s.s = string(v)
	default:
		return fmt.Errorf("sqlstore: %T is no text", src)
	}
	return nil
}

// Hash reads a column of 32 bytes into h.
func Hash(h *[32]byte) sql.Scanner { return hashScanner{h} }

type hashScanner struct{ h *[32]byte }

// Scan implements [sql.Scanner].
func (s hashScanner) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(s.h) {
		return fmt.Errorf("sqlstore: %T is no hash", src)
	}
	copy(s.h[:], b)
	return nil
}
