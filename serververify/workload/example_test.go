package workload_test

import (
	"fmt"
	"net/http"

	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// A server on a unix socket knows its callers from the kernel, and what they are from a file.
func Example() {
	rules, err := workload.ParseRules([]byte(`
version: 1
principals:
  - id: agents
    match: {uid: 1500}
    level: 2
    actor: supervised_ai
`))
	if err != nil {
		panic(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := workload.FromRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		mapping, ok := rules.Map(caller) // nobody in particular unless ok
		fmt.Println(caller.Subject(), mapping.ActorClass, ok)
	})
	ln, err := workload.ListenUnix(&workload.UnixConfig{Path: "/run/files/mcp.sock", UIDs: []uint32{1500}, Mode: 0o666})
	if err != nil {
		fmt.Println("cannot listen")
		return
	}
	_ = workload.NewUnixServer(handler).Serve(ln)
}
