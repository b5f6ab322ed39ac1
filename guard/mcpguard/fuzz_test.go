package mcpguard

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// FuzzReadCalls shows that reading a body neither fails nor changes it, and that a call it finds is one that
// encoding/json finds too.
func FuzzReadCalls(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`))
	f.Add([]byte(`[{"id":"x","method":"tools/list"},{"method":"ping"},5,null]`))
	f.Add([]byte(` [] `))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		calls, err := readCalls(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted what is not JSON")
		}
		for _, c := range calls {
			if c.Method == "" || isOpen(c.Method) {
				t.Errorf("call %+v", c)
			}
			_ = idText(c.ID)
		}
	})
}

// FuzzCursor shows that whatever cursor a client sends, it gets a part of its own list, in order.
func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor("b"), 2)
	f.Add("", 0)
	names := []string{"a", "c", "e", "g"}
	f.Fuzz(func(t *testing.T, cursor string, size int) {
		first, end, next, ok := cut(names, cursor, size)
		if !ok {
			return
		}
		if first < 0 || end < first || end > len(names) {
			t.Fatalf("page %d to %d", first, end)
		}
		if cursor != "" {
			if name, valid := decodeCursor(cursor); !valid || encodeCursor(name) != cursor {
				t.Errorf("accepted the cursor %q", cursor)
			}
		}
		if next != "" {
			if name, _ := decodeCursor(next); !slices.Contains(names, name) {
				t.Errorf("cursor names %q", name)
			}
		}
	})
}

// TestWalkByCursor: following the cursors visits everything once.
func TestWalkByCursor(t *testing.T) {
	for _, names := range [][]string{nil, {"a"}, {"a", "b", "c", "d", "e"}, {"c", "a", "b"}} {
		for size := range 7 {
			var got []string
			for cursor := ""; ; {
				first, end, next, ok := cut(names, cursor, size)
				if !ok {
					t.Fatalf("%v, size %d: cursor %q refused", names, size, cursor)
				}
				got = append(got, names[first:end]...)
				if next == "" {
					break
				}
				cursor = next
			}
			if !slices.Equal(got, names) {
				t.Errorf("%v, size %d: got %v", names, size, got)
			}
		}
	}
	if _, _, _, ok := cut([]string{"c", "a"}, encodeCursor("b"), 1); ok {
		t.Error("a place between entries that have no order")
	}
}
