package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Files of keys: YYYYMMDD-0123456789abcdef.key, a line, and the wrapped key.
const (
	keySuffix  = ".key"
	goneSuffix = ".erased" // of the empty file that is left of a key that was destroyed
	tempSuffix = ".tmp"    // of a key that is being written, and was never used
	dayLayout  = "20060102"
	fileHeader = "touchmark-vault-key/1\n"
	maxKeyFile = 64 << 10
)

// Period is how long the records of one key are made: a day in UTC.
const Period = 24 * time.Hour

// A day counts days since 1970.
type day uint32

func dayOf(t time.Time) day {
	return day(max(t.Unix(), 0) / int64(Period/time.Second)) //nolint:gosec // ends in the year 11,760,000
}

func (d day) start() time.Time { return time.Unix(int64(d)*int64(Period/time.Second), 0).UTC() }
func (d day) end() time.Time   { return (d + 1).start() }

// A keyName names a key. The id is random: a day may have several, of several processes.
type keyName struct {
	day day
	id  [8]byte
}

func (n keyName) file() string { return n.base() + keySuffix }
func (n keyName) gone() string { return n.base() + goneSuffix }
func (n keyName) base() string {
	return n.day.start().Format(dayLayout) + "-" + hex.EncodeToString(n.id[:])
}

// parseName reads the name of a key's file.
func parseName(file string) (n keyName, ok bool) {
	base, ok := strings.CutSuffix(file, keySuffix)
	date, id, cut := strings.Cut(base, "-")
	if !ok || !cut || len(id) != 2*len(n.id) {
		return n, false
	}
	at, err := time.Parse(dayLayout, date)
	if err != nil {
		return n, false
	}
	if _, err := hex.Decode(n.id[:], []byte(id)); err != nil {
		return n, false
	}
	n.day = dayOf(at)
	return n, n.file() == file
}

// A periodKey is a key of AES-256-GCM.
type periodKey [32]byte

func newKey(d day) (keyName, *periodKey) {
	name, key := keyName{day: d}, new(periodKey)
	rand.Read(name.id[:]) //nolint:errcheck // never fails, see crypto/rand
	rand.Read(key[:])     //nolint:errcheck // the same
	return name, key
}

func newAEAD(key *periodKey) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// keyBytes returns what is wrapped: the day and the id, so that no key passes for another, and the key.
func keyBytes(n keyName, key *periodKey) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(n.day))
	return append(append(b, n.id[:]...), key[:]...)
}

func parseKey(b []byte, want keyName) (*periodKey, error) {
	prefix := keyBytes(want, new(periodKey))
	prefix = prefix[:len(prefix)-len(periodKey{})]
	if !bytes.HasPrefix(b, prefix) || len(b) != len(prefix)+len(periodKey{}) {
		return nil, errors.New("the file holds another key than its name says")
	}
	key := periodKey(b[len(prefix):])
	return &key, nil
}

func appendFile(b, wrapped []byte) []byte { return append(append(b, fileHeader...), wrapped...) }

func parseFile(b []byte) (wrapped []byte, err error) {
	wrapped, ok := bytes.CutPrefix(b, []byte(fileHeader))
	if !ok || len(wrapped) == 0 {
		return nil, fmt.Errorf("the file does not begin with %q: it is damaged, or was being destroyed", fileHeader)
	}
	return wrapped, nil
}
