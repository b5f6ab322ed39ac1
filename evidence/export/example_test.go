package export_test

import (
	"fmt"
	"os"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/export"
)

func Example() {
	for stored, err := range evidence.ReadJournal("journal", 0) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		line, err := export.Logs([]*evidence.UnverifiedEntry{e}, export.Records)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		fmt.Println(string(line))
	}
}
