//go:build !unix

package sqltest

import (
	"errors"
	"net/url"
)

func start(bool) (*url.URL, error) {
	return nil, errors.New("PostgreSQL is not started here: set TOUCHMARK_POSTGRES to the URL of a server")
}
