package explorer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/touchmark-dev/touchmark/translog/explorer"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A log is served with the page beside it.
func Example() {
	mux := http.NewServeMux()
	mux.Handle("/verify", explorer.Handler())
	mux.Handle("/", tlogclient.Handler("log"))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/verify", nil))
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
