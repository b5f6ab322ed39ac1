package trilliantest

import (
	"fmt"
	"testing"
	"time"
)

// growing are the tables that an append and the signer insert into.
var growing = []string{"LeafData", "SequencedLeafData", "Subtree", "TreeHead"}

// Fill makes the database refuse what would make it grow, as it does when its disk is full, or take it again.
func (r *Trillian) Fill(t testing.TB, full bool) {
	t.Helper()
	var statements []string
	for _, table := range growing {
		switch {
		case r.Database.System == "mysql" && full:
			statements = append(statements, fmt.Sprintf(
				"CREATE TRIGGER full_%[1]s BEFORE INSERT ON %[1]s FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'", table))
		case r.Database.System == "mysql":
			statements = append(statements, "DROP TRIGGER full_"+table)
		case full:
			statements = append(statements, fmt.Sprintf("CREATE TRIGGER full_disk BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION disk_is_full()", table))
		default:
			statements = append(statements, fmt.Sprintf("DROP TRIGGER full_disk ON %s", table))
		}
	}
	if r.Database.System != "mysql" && full {
		statements = append([]string{"CREATE OR REPLACE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS " +
			"$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$"}, statements...)
	}
	for _, statement := range statements { // each by itself: what locks several tables can be in a deadlock with the signer
		r.Database.run(t, statement)
	}
}

// SetBack makes the last root of a tree look as if the signer's clock had been ahead by so much, and set back since. Trillian signs
// no root until its clock is later than that of the last one.
func (r *Trillian) SetBack(t testing.TB, tree int64, by time.Duration) {
	t.Helper()
	last := fmt.Sprintf("SELECT * FROM (SELECT max(TreeHeadTimestamp) FROM TreeHead WHERE TreeId = %d) AS newest", tree)
	r.Database.run(t, fmt.Sprintf("UPDATE TreeHead SET TreeHeadTimestamp = %d WHERE TreeId = %d AND TreeHeadTimestamp = (%s)",
		time.Now().Add(by).UnixNano(), tree, last))
}
