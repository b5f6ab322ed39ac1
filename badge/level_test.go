package badge_test

import (
	"encoding/json"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
)

func TestParseLevel(t *testing.T) {
	for i, text := range []string{"0", "1", "2", "3", "4"} {
		want := badge.LevelSelfSigned + badge.Level(i)
		got, err := badge.ParseLevel(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseLevel(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1", "01", " 1", "1 ", "+1", "1.0", "x", "none", "٣", "\x00"} {
		if got, err := badge.ParseLevel(text); err == nil || got != badge.LevelNone {
			t.Errorf("ParseLevel(%q) = %v, %v", text, got, err)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for l := 0; l < 256; l++ {
		for minimum := 0; minimum < 256; minimum++ {
			isLevel := func(n int) bool { return n >= int(badge.LevelSelfSigned) && n <= int(badge.LevelExtended) }
			want := isLevel(l) && isLevel(minimum) && l >= minimum
			if got := badge.Level(l).AtLeast(badge.Level(minimum)); got != want {
				t.Errorf("Level(%d).AtLeast(%d) = %v", l, minimum, got)
			}
		}
	}
}

func TestLevelText(t *testing.T) {
	text, err := json.Marshal(badge.LevelDomain)
	if err != nil || string(text) != `"2"` {
		t.Errorf("Marshal = %s, %v", text, err)
	}
	var l badge.Level
	if err := json.Unmarshal([]byte(`"3"`), &l); err != nil || l != badge.LevelOrganization {
		t.Errorf("Unmarshal = %v, %v", l, err)
	}
	if err := json.Unmarshal([]byte(`"5"`), &l); err == nil {
		t.Error("level 5 was read")
	}
	for _, none := range []badge.Level{badge.LevelNone, 6, 255} {
		if text, err := none.MarshalText(); err == nil || none.String() != "none" {
			t.Errorf("level %d became %s", uint8(none), text)
		}
	}
}
