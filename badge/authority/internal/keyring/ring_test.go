package keyring

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// lowWork makes a test's encryption cheap.
const lowWork = 4

var day = time.Date(2026, 11, 21, 23, 30, 0, 0, time.FixedZone("west", -3600))

func open(t testing.TB, dir string, passphrase Passphrase) *Ring {
	t.Helper()
	r, err := Open(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r.workFactor = lowWork
	return r
}

func create(t testing.TB, r *Ring, passphrase string) string {
	t.Helper()
	id, err := r.Create(Options{Passphrase: passphrase, Time: func() time.Time { return day }})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func says(passphrase string) Passphrase {
	return func(context.Context, string) (string, error) { return passphrase, nil }
}

// Keys are the same after a restart, whether they are encrypted or not.
func TestRing(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, nil)
	ids := map[string]bool{create(t, r, ""): false, create(t, r, "a long passphrase"): true}
	for id, encrypted := range ids {
		if !regexp.MustCompile(`^ca-2026-11-22-[0-9a-f]{4}$`).MatchString(id) {
			t.Errorf("id %q", id)
		}
		before, err := r.Signer(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		again := open(t, dir, func(_ context.Context, keyID string) (string, error) {
			if asked++; keyID != id {
				t.Errorf("asked for the passphrase of %q", keyID)
			}
			return "a long passphrase", nil
		})
		for range 2 {
			after, err := Signer(t.Context(), again, id, before.Public().(ed25519.PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			sig, err := after.Sign(nil, []byte("message"), crypto.Hash(0))
			if err != nil || !ed25519.Verify(before.Public().(ed25519.PublicKey), []byte("message"), sig) {
				t.Errorf("%v", err)
			}
		}
		if (asked == 1) != encrypted {
			t.Errorf("asked %d times for a passphrase, encrypted %v", asked, encrypted)
		}
	}
	files, err := r.Files()
	if err != nil || len(files) != 2 || files[0].KeyID > files[1].KeyID {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if f.Encrypted != ids[f.KeyID] {
			t.Errorf("%+v", f)
		}
		name := f.KeyID + plainSuffix
		if f.Encrypted {
			name = f.KeyID + encryptedSuffix
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || bytes.Contains(text, []byte(`"d":"`)) == f.Encrypted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key does not print its private half.
func TestKeyPrints(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	signer, err := r.Signer(t.Context(), create(t, r, ""))
	if err != nil {
		t.Fatal(err)
	}
	seed := fmt.Sprintf("%x", signer.(*fileKey).key.Seed())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if text := fmt.Sprintf(verb, signer); strings.Contains(text, seed) || strings.Contains(text, seed[:16]) {
			t.Errorf("%s prints the key", verb)
		}
	}
}

// TestRingRefuses: a file that is not what it should be is no key, and the error says what to do.
func TestRingRefuses(t *testing.T) {
	const id = "ca-2026-11-21-00ff"
	good, err := jwk.MarshalPrivate(&jwk.Private{Key: ed25519.NewKeyFromSeed(make([]byte, 32)), KeyID: id})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypt(good, "right", lowWork)
	if err != nil {
		t.Fatal(err)
	}
	costly := bytes.Replace(sealed, []byte(" 4\n"), []byte(" 21\n"), 1)
	if bytes.Equal(costly, sealed) {
		t.Fatal("the work factor is written otherwise")
	}
	long, err := encrypt(bytes.Repeat([]byte("x"), MaxFileBytes+1), "right", lowWork)
	if err != nil {
		t.Fatal(err)
	}
	foreign := recipient(t, good)
	plain, encrypted := id+plainSuffix, id+encryptedSuffix
	for _, test := range []struct {
		name       string
		files      map[string][]byte
		mode       os.FileMode
		passphrase Passphrase
		want       string
	}{
		{"nothing", nil, 0o600, nil, "no such key"},
		{"group", map[string][]byte{plain: good}, 0o640, nil, "chmod 600"},
		{"world", map[string][]byte{encrypted: sealed}, 0o604, says("right"), "chmod 600"},
		{"both", map[string][]byte{plain: good, encrypted: sealed}, 0o600, says("right"), "remove one"},
		{"both, one of them open", map[string][]byte{plain: good, encrypted: sealed}, 0o644, says("right"), "chmod 600"},
		{"empty", map[string][]byte{plain: {}}, 0o600, nil, "jwk"},
		{"long", map[string][]byte{plain: bytes.Repeat([]byte(" "), MaxFileBytes+1)}, 0o600, nil, "more than"},
		{"another key's file", map[string][]byte{plain: bytes.Replace(good, []byte("00ff"), []byte("00fe"), 1)}, 0o600, nil, "00fe"},
		{"public half", map[string][]byte{plain: publicHalf(t, id)}, 0o600, nil, "jwk"},
		{"no passphrase", map[string][]byte{encrypted: sealed}, 0o600, nil, "no passphrase was given"},
		{"empty passphrase", map[string][]byte{encrypted: sealed}, 0o600, says(""), "empty"},
		{"other passphrase", map[string][]byte{encrypted: sealed}, 0o600, says("wrong"), "the passphrase is another"},
		{"no work for it", map[string][]byte{encrypted: costly}, 0o600, says("right"), "work factor"},
		{"cut short", map[string][]byte{encrypted: sealed[:len(sealed)-1]}, 0o600, says("right"), ""},
		{"changed", map[string][]byte{encrypted: append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)}, 0o600, says("right"), ""},
		{"not encrypted", map[string][]byte{encrypted: good}, 0o600, says("right"), ""},
		{"for a recipient", map[string][]byte{encrypted: foreign}, 0o600, says("right"), ""},
		{"long when opened", map[string][]byte{encrypted: long}, 0o600, says("right"), "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, text, test.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, test.mode); err != nil { // whatever the umask
					t.Fatal(err)
				}
			}
			signer, err := open(t, dir, test.passphrase).Signer(t.Context(), id)
			if err == nil || signer != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), id) {
				t.Errorf("%v, %v", signer, err)
			}
			if wrong := test.name == "other passphrase" || test.name == "for a recipient"; errors.Is(err, ErrPassphrase) != wrong {
				t.Errorf("%v", err)
			}
			if none := test.files == nil; errors.Is(err, fs.ErrNotExist) != none {
				t.Errorf("%v", err)
			}
		})
	}
}

func publicHalf(t *testing.T, id string) []byte {
	text, err := jwk.Marshal(ed25519.NewKeyFromSeed(make([]byte, 32)).Public(), id)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// recipient encrypts for a key instead of a passphrase.
func recipient(t *testing.T, text []byte) []byte {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPassphraseFails(t *testing.T) {
	dir := t.TempDir()
	id := create(t, open(t, dir, nil), "right")
	gone := errors.New("the terminal is gone")
	r := open(t, dir, func(context.Context, string) (string, error) { return "", gone })
	if _, err := r.Signer(t.Context(), id); !errors.Is(err, gone) {
		t.Error(err)
	}
	r.passphrase = says("right")
	if _, err := r.Signer(t.Context(), id); err != nil {
		t.Errorf("not asked again: %v", err)
	}
}

// Secrets are mounted as links, and a link to what is no file is not waited for.
// TestPassphraseTriedOnce: a passphrase that failed is not tried on the same file again, another one, or another file, is.
func TestPassphraseTriedOnce(t *testing.T) {
	dir := t.TempDir()
	id := create(t, open(t, dir, nil), "right")
	said := "wrong"
	r := open(t, dir, func(context.Context, string) (string, error) { return said, nil })
	signs := func() error {
		_, err := r.Signer(t.Context(), id)
		return err
	}
	if err := signs(); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("got %v", err)
	}
	remembered := errors.New("remembered")
	r.failed[id] = failure{r.failed[id].of, remembered}
	for range 2 {
		if err := signs(); !errors.Is(err, remembered) {
			t.Errorf("it was tried again: %v", err)
		}
	}
	said = "also wrong"
	if err := signs(); !errors.Is(err, ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	path := filepath.Join(dir, id+encryptedSuffix)
	whole, err := os.ReadFile(path) //nolint:gosec // made here
	if err != nil {
		t.Fatal(err)
	}
	said = "right"
	for _, text := range [][]byte{whole[:len(whole)-1], whole} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := signs(); (err == nil) != (len(text) == len(whole)) {
			t.Errorf("%d of %d bytes: %v", len(text), len(whole), err)
		}
	}
	if len(r.failed) != 0 {
		t.Errorf("%d failures are remembered of a key that is open", len(r.failed))
	}
}

func TestLinks(t *testing.T) {
	kept, dir := t.TempDir(), t.TempDir()
	id := create(t, open(t, kept, nil), "")
	link := filepath.Join(dir, id+plainSuffix)
	if err := os.Symlink(filepath.Join(kept, id+plainSuffix), link); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, nil).Signer(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kept, link); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, nil).Signer(t.Context(), id); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o770); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", file: "is not a directory", shared: "chmod go-w",
	} {
		if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"a", "ca-2026-11-21-00ff", "A.b_c-9", strings.Repeat("k", 64)} {
		if err := CheckID(id); err != nil {
			t.Error(err)
		}
	}
	r := open(t, t.TempDir(), nil)
	for _, id := range []string{"", ".", "..", "-a", ".a", "a/b", `a\b`, "a b", "a\x00", "é", strings.Repeat("k", 65), "../x"} {
		if CheckID(id) == nil {
			t.Errorf("%q accepted", id)
		}
		if _, err := r.Signer(t.Context(), id); err == nil {
			t.Errorf("%q has a signer", id)
		}
	}
}

// Create never replaces a key, and leaves nothing else behind.
func TestCreateMany(t *testing.T) {
	dir := t.TempDir()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		found = map[string]string{}
	)
	for range 4 {
		r := open(t, dir, nil)
		wg.Go(func() {
			for range 25 {
				id, err := r.Create(Options{})
				if err != nil {
					t.Error(err)
					return
				}
				signer, err := r.Signer(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				found[id] = fmt.Sprint(signer)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	again := open(t, dir, nil)
	files, err := again.Files()
	if err != nil || len(files) != len(found) {
		t.Fatalf("%d files, %d keys: %v", len(files), len(found), err)
	}
	for id, want := range found {
		if signer, err := again.Signer(t.Context(), id); err != nil || fmt.Sprint(signer) != want {
			t.Errorf("%s: %v, %v", id, signer, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(found) {
		t.Errorf("%d entries: %v", len(entries), err)
	}
}

// TestCreateAgain: the digits of a new key are none that a key has already, in a file of either kind.
func TestCreateAgain(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	var ids []string
	r.newID = func(time.Time) (id string) { id, ids = ids[0], ids[1:]; return id }
	for _, test := range []struct {
		passphrase, want string
		ids              []string
	}{
		{"", "ca-0", []string{"ca-0"}},
		{"right", "ca-1", []string{"ca-0", "ca-1"}},
		{"", "ca-2", []string{"ca-0", "ca-1", "ca-1", "ca-2"}},
	} {
		if ids = test.ids; create(t, r, test.passphrase) != test.want || len(ids) != 0 {
			t.Errorf("%q: %q are left", test.want, ids)
		}
	}
	ids = slices.Repeat([]string{"ca-1"}, createTries)
	if id, err := r.Create(Options{}); !errors.Is(err, fs.ErrExist) || len(ids) != 0 {
		t.Errorf("%q, %v", id, err)
	}
	if files, err := r.Files(); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestFilesPassesOver(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"README", ".hidden.jwk", "a b.jwk", "x.jwk.tmp", "key.pem", ".jwk", "ok.jwk", "z.jwk.age"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, dir, nil)
	files, err := r.Files()
	if err != nil || fmt.Sprint(files) != "[{ok false} {z true}]" {
		t.Errorf("%v, %v", files, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Files(); err == nil {
		t.Error("a directory that is gone has files")
	}
	if _, err := r.Create(Options{}); err == nil {
		t.Error("made a key in a directory that is gone")
	}
}

type source func() (crypto.Signer, error)

func (f source) Signer(context.Context, string) (crypto.Signer, error) { return f() }

// What a source answers with is compared with what was published.
func TestSigner(t *testing.T) {
	mine, other := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	public := mine.Public().(ed25519.PublicKey)
	fault := errors.New("token removed")
	if s, err := Signer(t.Context(), source(func() (crypto.Signer, error) { return mine, nil }), "k", public); err != nil || s == nil {
		t.Error(err)
	}
	for name, s := range map[string]Source{
		"nil":     nil,
		"other":   source(func() (crypto.Signer, error) { return other, nil }),
		"nothing": source(func() (crypto.Signer, error) { return nil, nil }),
		"fault":   source(func() (crypto.Signer, error) { return nil, fault }),
	} {
		if signer, err := Signer(t.Context(), s, "k", public); err == nil || signer != nil || (name == "fault") != errors.Is(err, fault) {
			t.Errorf("%s: %v, %v", name, signer, err)
		}
	}
}

// FuzzFile: no file makes the reader panic, or gives a key of another name.
func FuzzFile(f *testing.F) {
	good, err := jwk.MarshalPrivate(&jwk.Private{Key: ed25519.NewKeyFromSeed(make([]byte, 32)), KeyID: "k"})
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := encrypt(good, "p", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parse(text, "k"); (k == nil) != (err != nil) {
			t.Fatal(k, err)
		}
		if !bytes.Contains(text, []byte("-> scrypt")) || bytes.Contains(text, []byte(" 1\n")) { // others cost work
			_, _ = decrypt(text, "p")
		}
	})
}
