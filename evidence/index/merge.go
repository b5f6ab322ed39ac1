package index

import "iter"

// A Found is a hit in one of several journals.
type Found struct {
	*Hit
	Journal int // its number
}

// Merge puts the answers about several journals together by the times of the records, of which each journal keeps its own
// order. A pair with an error is the last one.
func Merge(newest bool, answers ...iter.Seq2[*Hit, error]) iter.Seq2[*Found, error] {
	return func(yield func(*Found, error) bool) {
		heads := make([]*Found, len(answers))
		pulls := make([]func() (*Hit, error, bool), len(answers))
		for i, answer := range answers {
			next, stop := iter.Pull2(answer)
			defer stop()
			pulls[i] = next
		}
		fetch := func(i int) error {
			hit, err, ok := pulls[i]()
			if heads[i] = nil; ok && err == nil {
				heads[i] = &Found{hit, i}
			}
			return err
		}
		for i := range pulls {
			if err := fetch(i); err != nil {
				yield(nil, err)
				return
			}
		}
		for {
			best := first(heads, newest)
			if best == nil || !yield(best, nil) {
				return
			}
			if err := fetch(best.Journal); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// first returns what comes first, nil if there is nothing.
func first(heads []*Found, newest bool) (best *Found) {
	for _, h := range heads {
		switch {
		case h == nil:
		case best == nil, newest && h.Record.Time.After(best.Record.Time), !newest && h.Record.Time.Before(best.Record.Time):
			best = h
		}
	}
	return best
}
