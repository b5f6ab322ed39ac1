package index_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/touchmark-dev/touchmark/evidence/index"
)

func Example() {
	x, err := index.Open(context.Background(), &index.Config{Journal: "journal"})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	refused := index.Query{
		Filter: index.Filter{Tenant: "acme", Reason: "TOOL_POLICY_DENIED", Since: time.Now().Add(-time.Hour)},
		Newest: true, Limit: 100,
	}
	for hit, err := range x.Find(context.Background(), &refused) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(hit.Record.Sequence, hit.Record.Decision.Target)
	}
}
