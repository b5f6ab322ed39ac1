package evidence

import (
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// find returns the place of a name in the table of members.
func find(name string) (int, bool) {
	low, high := 0, len(members)
	for low < high {
		if mid := (low + high) / 2; members[mid].name < name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(members) && members[low].name == name
}

// setValue puts v into place and reports whether it is of place's form. Of each form there is one text for each value,
// so that appendValue writes what was read.
func setValue(place any, v value) bool {
	switch v.kind {
	case textValue:
		return setText(place, v.text)
	case numberValue:
		return setNumber(place, v.number)
	case trueValue:
		if p, ok := place.(*bool); ok {
			*p = true
			return true
		}
	case otherValue:
	}
	return false
}

func setText(place any, text string) (ok bool) {
	var err error
	switch p := place.(type) {
	case *string:
		*p = text
	case **string:
		own := text
		*p = &own
	case groupPlace:
		return p.set(text)
	case *did.DID:
		*p, err = did.Parse(text)
	case *Hash:
		*p, err = ParseHash(text)
	case *StreamID:
		*p, err = ParseStreamID(text)
	case *time.Time:
		*p, ok = parseTime(text)
		return ok
	default:
		return false
	}
	return err == nil
}

func setNumber(place any, n uint64) bool {
	switch p := place.(type) {
	case *uint64:
		*p = n
	case **uint64:
		own := n
		*p = &own
	case *count:
		*p = count(n)
	case *time.Duration:
		*p = time.Duration(n) //nolint:gosec // at most 15 digits
	case *nanoseconds:
		*p = nanoseconds(n) //nolint:gosec // at most 15 digits
	case version:
		return n == Version
	default:
		return false
	}
	return true
}

// parseTime reads what timeLayout writes, and nothing else: package time also takes a comma for the point, and hours
// of one digit.
func parseTime(text string) (t time.Time, ok bool) {
	if len(text) != len(timeLayout) {
		return t, false
	}
	for i := range len(timeLayout) {
		if isDigit(timeLayout[i]) != isDigit(text[i]) || !isDigit(text[i]) && text[i] != timeLayout[i] {
			return t, false
		}
	}
	number := func(from, to int) (n int) {
		for _, c := range []byte(text[from:to]) {
			n = n*10 + int(c-'0')
		}
		return n
	}
	month, day := number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	if month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	t = time.Date(number(0, 4), time.Month(month), day, hour, minute, second, number(20, 29), time.UTC)
	return t, t.Day() == day
}
