package authzen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const maxTokenBytes = 16 << 10

// readToken reads a bearer token. No error says what is in the file.
func readToken(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // the name is of the configuration
	if err != nil {
		return "", fmt.Errorf("authzen: the token: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxTokenBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("authzen: the token: %w", err)
	case len(data) > maxTokenBytes:
		return "", errors.New("authzen: the token is too long")
	}
	token := strings.TrimRight(string(data), "\r\n")
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' || strings.IndexByte(`",;\`, c) >= 0 {
			return "", errors.New("authzen: the token has a character that no token has")
		}
	}
	if token == "" {
		return "", errors.New("authzen: the token is empty")
	}
	return token, nil
}
