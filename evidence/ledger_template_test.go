package evidence

import (
	"bytes"
	"testing"
	"time"
)

// TestTemplatesAreMessages: filling in a template gives what encoding the record gives.
func TestTemplatesAreMessages(t *testing.T) {
	hostile := fullDraft()
	hostile.Decision.Target = `x","seq":7,"prev":"y","time":"z`
	hostile.Decision.RequestID = `,"seq":1`
	s := newTestSigner("server")
	records := everyRecord(t, s)
	records["hostile"] = mustPrepare(t, hostile, s.header(5))
	for kind, r := range records {
		for _, seq := range []uint64{0, 1, 9, 10, 12345, maxNumber} {
			if (seq == 0) != (r.Genesis != nil) {
				continue
			}
			want := *r
			want.Sequence, want.Previous, want.Time = seq, Hash{byte(seq), 2, 3}, time.Unix(1_800_000_000, 123_000_000).UTC()
			if seq == 0 {
				want.Previous = Hash{}
			}
			if want.Outcome != nil && seq <= want.Outcome.DecisionSequence {
				continue
			}
			direct, err := want.Message()
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			tmpl, err := r.template(nil)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			filled, err := tmpl.fill(r, seq, want.Previous, want.Time)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if !bytes.Equal(filled, direct) {
				t.Errorf("%s, record %d:\n%s\nwant\n%s", kind, seq, filled, direct)
			}
		}
	}
	r := records[KindHeartbeat]
	tmpl, err := r.template(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.fill(r, 3, Hash{1}, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("a time that has no text was filled in")
	}
}
