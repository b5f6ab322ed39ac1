package monitor

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// TestFramesAreReadAnew: many frames are read from the file at a time, and those that are written later are not the ones
// that were read before.
func TestFramesAreReadAnew(t *testing.T) {
	const frames = 3 * windowFrames
	h, err := openHashFile(&openFiles{fs: durable.OS{}, max: 1}, filepath.Join(t.TempDir(), "frames"), 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	want := make(map[int][]byte)
	see := func(i int) {
		t.Helper()
		frame := want[i]
		if frame == nil {
			frame = make([]byte, 8)
		}
		if got, err := h.get(uint64(i)); err != nil || !bytes.Equal(got, frame) {
			t.Fatalf("frame %d: %q, %v, want %q", i, got, err, frame)
		}
	}
	check := func() {
		t.Helper()
		for i := range int(h.next) {
			see(i)
		}
	}
	for round := range 4 {
		for i := range frames {
			if i%5 == round {
				h.skip(1)
				continue
			}
			want[int(h.next)] = number(round, i)
			h.put(want[int(h.next)])
		}
		check()
		if err := h.flush(); err != nil {
			t.Fatal(err)
		}
		check()
		for _, i := range []int{0, round, windowFrames, int(h.next) - 1} {
			see(i)
			want[i] = number(9, round)
			h.set(uint64(i), want[i])
			see(i)
			if err := h.flush(); err != nil {
				t.Fatal(err)
			}
			see(i)
		}
		check()
	}
	again, err := openHashFile(&openFiles{fs: durable.OS{}, max: 1}, h.name, 8, h.next)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	h = again
	check()
}
