package sqltest_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func TestEachIsNew(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		sqltest.Each(t, func(t *testing.T, url string) {
			if seen[url] {
				t.Errorf("%q was handed out twice", url)
			}
			seen[url] = true
		})
	}
}

func TestDurablePostgreSQL(t *testing.T) {
	if os.Getenv("TOUCHMARK_POSTGRES") != "" {
		t.Skip("the server is not ours")
	}
	for want, url := range map[string]string{"on": sqltest.DurablePostgreSQL(t), "off": sqltest.PostgreSQL(t)} {
		url = strings.TrimSuffix(url, "&unsafe_no_fsync=true")
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := db.QueryRowContext(t.Context(), "SHOW fsync").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("fsync is %s, want %s", got, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
