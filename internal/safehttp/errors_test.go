package safehttp_test

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

func TestErrorsSayWhatHappened(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&safehttp.AddrError{Addr: "10.0.0.1", Reason: "private"}, "address 10.0.0.1 refused: private"},
		{&safehttp.StatusError{Code: 302}, "status 302: redirects are not followed"},
		{&safehttp.StatusError{Code: 404}, "status 404"},
		{&safehttp.TooLargeError{Limit: 10}, "more than 10 bytes"},
	} {
		if got := c.err.Error(); !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
