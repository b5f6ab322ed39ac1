package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func testWrapper(t testing.TB) Wrapper {
	t.Helper()
	key, err := NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseMasterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustOpen(t testing.TB, cfg *Config) *Vault {
	t.Helper()
	v, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func onDisk(t testing.TB) (*Config, *durabletest.Disk) {
	disk := durabletest.NewDisk("/")
	return &Config{Dir: "/vault", Wrapper: testWrapper(t), fs: disk, Time: func() time.Time { return noon.Add(90 * Period) }}, disk
}

var journal = evidence.JournalID{1, 2, 3}

func seal(t testing.TB, v *Vault, at time.Time, seq uint64, plain string) []byte {
	t.Helper()
	s, err := v.Sealer(at)
	if err != nil {
		t.Fatal(err)
	}
	b := append(make([]byte, 3+evidence.SealedPrefix, 4096), plain...)
	return s.Seal(b, 3, &journal, seq)[3:]
}

func TestSealAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "vault")
	cfg := &Config{Dir: dir, Wrapper: testWrapper(t)}
	v := mustOpen(t, cfg)
	sealed := seal(t, v, noon, 7, "a salt")
	if len(sealed) != len("a salt")+evidence.SealedBytes || bytes.Contains(sealed, []byte("salt")) {
		t.Errorf("sealed as %q", sealed)
	}
	again := seal(t, v, noon, 7, "a salt")
	if bytes.Equal(sealed[nonceOffset:], again[nonceOffset:]) {
		t.Error("a nonce is used twice")
	}
	for _, v := range []*Vault{v, mustOpen(t, cfg)} {
		if plain, err := v.Open(journal, 7, sealed); err != nil || string(plain) != "a salt" {
			t.Errorf("opened as %q, %v", plain, err)
		}
	}
	if _, err := v.Open(journal, 8, sealed); err == nil {
		t.Error("it opens for another record")
	}
	if _, err := v.Open(evidence.JournalID{}, 7, sealed); err == nil {
		t.Error("it opens for another journal")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i]++
		if _, err := v.Open(journal, 7, changed); err == nil {
			t.Errorf("it opens with another byte %d", i)
		}
		if _, err := v.Open(journal, 7, sealed[:i]); err == nil {
			t.Errorf("%d bytes of it open", i)
		}
	}
	keys, err := list(v.cfg.fs, v.cfg.Dir)
	if err != nil || len(keys) != 1 || !keys[0].From.Equal(noon.Truncate(Period)) || keys[0].To.Sub(keys[0].From) != Period {
		t.Errorf("keys %v, %v", keys, err)
	}
	for name, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, keys[0].File): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestAnotherMasterKey(t *testing.T) {
	cfg, _ := onDisk(t)
	sealed := seal(t, mustOpen(t, cfg), noon, 1, "x")
	cfg.Wrapper = testWrapper(t)
	v := mustOpen(t, cfg)
	if _, err := v.Open(journal, 1, sealed); err == nil || errors.Is(err, evidence.ErrPrivateErased) || !strings.Contains(err.Error(), "master key") {
		t.Errorf("got %v", err)
	}
	if plain, err := v.Open(journal, 2, seal(t, v, noon, 2, "y")); err != nil || string(plain) != "y" {
		t.Errorf("what is sealed now opens as %q, %v", plain, err)
	}
	if keys, _ := list(v.cfg.fs, v.cfg.Dir); len(keys) != 2 {
		t.Errorf("keys %v", keys)
	}
}

func TestWrapOnly(t *testing.T) {
	cfg, _ := onDisk(t)
	key, err := NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	full, err := ParseMasterKey(key)
	if err != nil {
		t.Fatal(err)
	}
	_, recipient, _ := strings.Cut(strings.SplitN(string(key), "\n", 2)[0], ": ")
	if cfg.Wrapper, err = ParseMasterKey([]byte(recipient)); err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, mustOpen(t, cfg), noon, 1, "x")
	if _, err := mustOpen(t, cfg).Open(journal, 1, sealed); !errors.Is(err, ErrWrapOnly) {
		t.Errorf("the public half opens: %v", err)
	}
	seal(t, mustOpen(t, cfg), noon, 1, "x")
	cfg.Wrapper = full
	v := mustOpen(t, cfg)
	if plain, err := v.Open(journal, 1, sealed); err != nil || string(plain) != "x" {
		t.Errorf("got %q, %v", plain, err)
	}
	if keys, _ := list(v.cfg.fs, v.cfg.Dir); len(keys) != 2 {
		t.Errorf("keys %v", keys)
	}
}

func TestParseMasterKeyRefuses(t *testing.T) {
	for _, s := range []string{"", "x", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1QQQ\n", strings.Repeat("#", MaxMasterKeyBytes+1)} {
		if _, err := ParseMasterKey([]byte(s)); err == nil || strings.Contains(err.Error(), "QQQ") {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

func TestEraseBefore(t *testing.T) {
	cfg, disk := onDisk(t)
	v := mustOpen(t, cfg)
	sealed := map[int][]byte{}
	for d := range 4 {
		sealed[d] = seal(t, v, noon.Add(time.Duration(d)*Period), 1, "x")
	}
	if _, err := v.EraseBefore(noon.Add(91 * Period)); err == nil {
		t.Error("the future is erased")
	}
	if erased, err := v.EraseBefore(noon.Add(-Period)); err != nil || len(erased) != 0 {
		t.Errorf("erased %v, %v", erased, err)
	}
	old := keyFiles(t, disk)
	erased, err := v.EraseBefore(noon.Add(2 * Period))
	if err != nil || len(erased) != 2 {
		t.Fatalf("erased %v, %v", erased, err)
	}
	ended := disk.Len()
	for d, s := range sealed {
		_, err := v.Open(journal, 1, s)
		if gone := errors.Is(err, evidence.ErrPrivateErased); gone != (d < 2) || !gone && err != nil {
			t.Errorf("day %d: %v", d, err)
		}
	}
	for i, op := range disk.Ops() { // what goes was overwritten and synced before
		if op.Kind == durabletest.OpRename && strings.HasSuffix(op.Name, keySuffix) {
			before := disk.Ops()[:i]
			n := len(before)
			if before[n-1].Kind != durabletest.OpSync || before[n-2].Kind != durabletest.OpTruncate || before[n-3].Kind != durabletest.OpSync ||
				before[n-4].Kind != durabletest.OpWrite || len(before[n-4].Data) != len(old[op.Name]) || bytes.Equal(before[n-4].Data, old[op.Name]) {
				t.Errorf("%s goes after %v", op.Name, before[n-4:])
			}
		}
	}
	elsewhere := *cfg
	elsewhere.Dir = "/another"
	if _, err := mustOpen(t, &elsewhere).Open(journal, 1, sealed[0]); err == nil || errors.Is(err, evidence.ErrPrivateErased) {
		t.Errorf("another vault says that the key was erased: %v", err)
	}
	if gone, err := v.Erased(); err != nil || !gone(sealed[0]) || gone(sealed[3]) || gone(nil) {
		t.Errorf("erased: %v", err)
	}
	if last := disk.Ops()[ended-1]; last.Kind != durabletest.OpSyncDir {
		t.Errorf("the last operation is %v", last)
	}
}

// TestEraseBesideAStuckKey: a key that cannot be destroyed does not keep the others.
func TestEraseBesideAStuckKey(t *testing.T) {
	cfg, disk := onDisk(t)
	v := mustOpen(t, cfg)
	var sealed [][]byte
	for d := range 3 {
		sealed = append(sealed, seal(t, v, noon.Add(time.Duration(d)*Period), 1, "x"))
	}
	oldest := disk.Names("/vault")[0]
	refused := errors.New("not this one")
	disk.SetFault(func(op durabletest.Op) error {
		if strings.HasSuffix(op.Name, oldest) {
			return refused
		}
		return nil
	})
	if n, err := v.Forget(noon.Add(3 * Period)); n != 2 || !errors.Is(err, refused) {
		t.Errorf("%d keys are destroyed, %v", n, err)
	}
	disk.SetFault(nil)
	for d, s := range sealed[1:] {
		if _, err := v.Open(journal, 1, s); !errors.Is(err, evidence.ErrPrivateErased) {
			t.Errorf("day %d: %v", d+1, err)
		}
	}
	if n, err := v.Forget(noon.Add(3 * Period)); n != 3 || err != nil {
		t.Errorf("in the end %d keys are destroyed, %v", n, err)
	}
}

func keyFiles(t testing.TB, disk *durabletest.Disk) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range disk.Names("/vault") {
		b, err := durable.ReadFile(disk, filepath.Join("/vault", name), maxKeyFile)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Join("/vault", name)] = b
	}
	return out
}

// TestCrashes lets the power fail at every operation of a vault that makes keys and destroys some. What was sealed with
// a key that was not to be destroyed opens, what was is gone when EraseBefore had returned, and the vault goes on.
func TestCrashes(t *testing.T) {
	cfg, disk := onDisk(t)
	v := mustOpen(t, cfg)
	var sealed [][]byte
	var at []int
	for d := range 3 {
		sealed = append(sealed, seal(t, v, noon.Add(time.Duration(d)*Period), 1, "x"))
		at = append(at, disk.Len())
	}
	began := disk.Len()
	if _, err := v.EraseBefore(noon.Add(2 * Period)); err != nil {
		t.Fatal(err)
	}
	ended := disk.Len()
	crashes := 0
	disk.Crashes(0, durabletest.Sampling{Seed: 3, Singles: 8, Random: 4}, func(crash *durabletest.Crash) bool {
		crashes++
		cfg := *cfg
		cfg.fs = crash.Disk
		v := mustOpen(t, &cfg)
		for d, s := range sealed {
			if at[d] > crash.At {
				continue
			}
			plain, err := v.Open(journal, 1, s)
			switch opens := err == nil && string(plain) == "x"; {
			case !opens && (d == 2 || crash.At <= began):
				t.Errorf("%v: what was sealed on day %d does not open: %v", crash, d, err)
			case opens && d < 2 && crash.At >= ended:
				t.Errorf("%v: what was sealed on day %d opens", crash, d)
			}
		}
		if _, err := v.Sealer(noon); err != nil {
			t.Errorf("%v: %v", crash, err)
		}
		if _, err := v.EraseBefore(noon.Add(2 * Period)); err != nil {
			t.Errorf("%v: erasing again: %v", crash, err)
		}
		for name := range keyFiles(t, crash.Disk) {
			if n, ok := parseName(strings.TrimSuffix(filepath.Base(name), tempSuffix)); ok && n.day < dayOf(noon)+2 {
				t.Errorf("%v: %s is left", crash, name)
			}
		}
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes", disk.Len(), crashes)
}

// TestKeysAreDurable lets each operation on the way to a key fail in turn, seals with the key that there is at the next
// attempt, in this process or in another, and lets the power fail from then on: what was sealed opens.
func TestKeysAreDurable(t *testing.T) {
	crashes := 0
	for n, hit := 1, true; hit; n++ {
		for _, another := range []bool{false, true} {
			cfg, disk := onDisk(t)
			left := n
			disk.SetFault(func(durabletest.Op) error {
				if left--; left == 0 {
					return errors.New("the disk")
				}
				return nil
			})
			v, err := Open(cfg)
			if err == nil {
				_, err = v.Sealer(noon)
			}
			if hit = left <= 0; hit != (err != nil) {
				t.Errorf("fault %d: %v", n, err)
			}
			disk.SetFault(nil)
			if v == nil || another {
				v = mustOpen(t, cfg)
			}
			sealed := seal(t, v, noon, 1, "x")
			for _, name := range disk.Names("/vault") {
				if strings.HasSuffix(name, tempSuffix) {
					t.Errorf("fault %d: %s is left", n, name)
				}
			}
			disk.Crashes(disk.Len(), durabletest.Sampling{Seed: 5, Singles: 8, Random: 4}, func(crash *durabletest.Crash) bool {
				crashes++
				cfg := *cfg
				cfg.fs = crash.Disk
				v := mustOpen(t, &cfg)
				if plain, err := v.Open(journal, 1, sealed); err != nil || string(plain) != "x" {
					t.Errorf("fault %d, %v: what was sealed opens as %q, %v", n, crash, plain, err)
				}
				return !t.Failed()
			})
		}
	}
	t.Logf("%d crashes", crashes)
}

// TestDestroyedElsewhere: a key that another process has destroyed is not used any more.
func TestDestroyedElsewhere(t *testing.T) {
	cfg, _ := onDisk(t)
	v, other := mustOpen(t, cfg), mustOpen(t, cfg)
	sealed := seal(t, v, noon, 1, "x")
	for range 2 { // the second time there is nothing to destroy
		if n, err := other.Forget(noon.Add(Period)); err != nil || n != 1 {
			t.Fatalf("%d keys are destroyed, %v", n, err)
		}
	}
	if n, err := v.Forget(noon.Add(-Period)); err != nil || n != 1 {
		t.Errorf("%d keys are destroyed, %v", n, err)
	}
	if gone, err := v.Erased(); err != nil || !gone(sealed) {
		t.Fatal("it is not known to be destroyed", err)
	}
	if plain, err := v.Open(journal, 2, seal(t, v, noon, 2, "y")); err != nil || string(plain) != "y" {
		t.Errorf("what is sealed now opens as %q, %v", plain, err)
	}
}

// TestFaults lets each operation fail in turn: what could not be destroyed is said to be there.
func TestFaults(t *testing.T) {
	for n := 1; ; n++ {
		cfg, disk := onDisk(t)
		left := n
		disk.SetFault(func(durabletest.Op) error {
			if left--; left == 0 {
				return errors.New("the disk")
			}
			return nil
		})
		failed := false
		var sealed []byte
		v, err := Open(cfg)
		if err == nil {
			var s evidence.Sealer
			if s, err = v.Sealer(noon); err == nil {
				sealed = s.Seal(make([]byte, evidence.SealedPrefix, 99), 0, &journal, 1)
				_, err = v.EraseBefore(noon.Add(2 * Period))
			}
		}
		failed = err != nil
		disk.SetFault(nil)
		v = mustOpen(t, cfg)
		if _, err := v.Open(journal, 1, sealed); sealed != nil && !failed && !errors.Is(err, evidence.ErrPrivateErased) {
			t.Errorf("fault %d: erased without an error, and opens: %v", n, err)
		}
		if _, err := v.EraseBefore(noon.Add(2 * Period)); err != nil {
			t.Errorf("fault %d: %v", n, err)
		}
		if left > 0 {
			if failed {
				t.Error("it failed without a fault")
			}
			return
		}
	}
}

func TestSealerRunsOut(t *testing.T) {
	cfg, _ := onDisk(t)
	v := mustOpen(t, cfg)
	seal(t, v, noon, 1, "x")
	v.current.Load().count.Store(maxSeals)
	sealed := seal(t, v, noon, 2, "y")
	if keys, _ := list(v.cfg.fs, v.cfg.Dir); len(keys) != 2 {
		t.Errorf("keys %v", keys)
	}
	if plain, err := v.Open(journal, 2, sealed); err != nil || string(plain) != "y" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestSealAllocatesNothing(t *testing.T) {
	cfg, _ := onDisk(t)
	v := mustOpen(t, cfg)
	s, err := v.Sealer(noon)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096, 4096+64)
	if n := testing.AllocsPerRun(100, func() { s.Seal(b, 100, &journal, 3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type failingWrapper struct{ Wrapper }

func (failingWrapper) Wrap(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("no service")
}

func TestWrapperFails(t *testing.T) {
	cfg, _ := onDisk(t)
	cfg.Wrapper = failingWrapper{}
	if _, err := mustOpen(t, cfg).Sealer(noon); err == nil || !strings.Contains(err.Error(), "no service") {
		t.Errorf("got %v", err)
	}
	for _, cfg := range []*Config{{Dir: "x"}, {Wrapper: cfg.Wrapper}} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%v opens", cfg)
		}
	}
}

// FuzzKey reads any bytes as a key's file, its name, what is wrapped in it, and as a sealed private part.
func FuzzKey(f *testing.F) {
	name, key := newKey(dayOf(noon))
	f.Add(name.file(), appendFile(nil, keyBytes(name, key)))
	f.Add("20261121-0123456789abcdef.key", []byte(fileHeader))
	f.Add("00000000-0123456789ABCDEF.key", append([]byte{sealedForm}, make([]byte, evidence.SealedBytes)...))
	f.Fuzz(func(t *testing.T, file string, b []byte) {
		n, ok := parseName(file)
		if ok && n.file() != file {
			t.Fatalf("%q is read as %q", file, n.file())
		}
		wrapped, err := parseFile(b)
		if err != nil {
			wrapped = b
		} else if !bytes.Equal(appendFile(nil, wrapped), b) {
			t.Fatalf("%q is written otherwise", b)
		}
		if key, err := parseKey(wrapped, n); err == nil && !bytes.Equal(keyBytes(n, key), wrapped) {
			t.Fatalf("%q is written otherwise", wrapped)
		}
		if n, err := parseSealed(b); err == nil {
			if _, err := new(ageWrapper).Unwrap(t.Context(), b); err == nil {
				t.Fatal("unwrapped")
			}
			if again, ok := parseName(n.file()); ok && again != n {
				t.Fatalf("%v is read as %v", n, again)
			}
		}
	})
}

// FuzzMasterKey reads any bytes as a master key.
func FuzzMasterKey(f *testing.F) {
	key, err := NewMasterKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key)
	f.Add([]byte("AGE-SECRET-KEY-1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseMasterKey(b)
		if err != nil {
			return
		}
		wrapped, err := w.Wrap(t.Context(), []byte("key"))
		if err != nil {
			return
		}
		if back, err := w.Unwrap(t.Context(), wrapped); err == nil && string(back) != "key" {
			t.Fatalf("unwrapped as %q", back)
		}
	})
}

func TestKeysAreSorted(t *testing.T) {
	cfg, _ := onDisk(t)
	v := mustOpen(t, cfg)
	for _, d := range []int{3, 1, 2} {
		seal(t, v, noon.Add(time.Duration(d)*Period), 1, "x")
	}
	keys, err := list(v.cfg.fs, v.cfg.Dir)
	if err != nil || len(keys) != 3 || !slices.IsSortedFunc(keys, func(a, b Key) int { return a.From.Compare(b.From) }) {
		t.Errorf("%v, %v", keys, err)
	}
}
