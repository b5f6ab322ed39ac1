package pop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// The answers of a [ReplayStore] other than nil.
var (
	// ErrReplayed says that the key was used before, or may have been.
	ErrReplayed = errors.New("call proof: used before")
	// ErrFull says that the key was not used before and cannot be remembered.
	ErrFull = errors.New("call proof: replay store is full")
)

// A ReplayKey names one use of one proof. Two proofs are the same when thumbprint and hop id are; the subject
// is whom the use counts against.
type ReplayKey struct {
	KeyThumbprint string // RFC 7638
	HopID         string
	Subject       did.DID
}

// A ReplayStore remembers proofs that were used. It is the seam at which several nodes that answer for one
// server share what they have seen.
type ReplayStore interface {
	// Use returns nil to exactly one caller for a key, and ErrReplayed to all others, at least until that
	// time. It returns ErrFull rather than forget a key before its time, and any other error when it
	// cannot tell. It may be called by several goroutines.
	Use(ctx context.Context, key ReplayKey, until time.Time) error
}

// Bounds of a [MemoryReplay] unless its configuration says otherwise: enough for some ten thousand calls a
// second, and a thousand of one subject; full, some 150 MB.
const (
	DefaultReplayEntries    = 1 << 20
	DefaultReplayPerSubject = 1 << 17
)

// A MemoryReplayConfig bounds a [MemoryReplay].
type MemoryReplayConfig struct {
	MaxEntries    int // 0 stands for DefaultReplayEntries
	MaxPerSubject int // 0 stands for an eighth of MaxEntries, so that no subject can fill the store alone

	Time func() time.Time // nil stands for time.Now
}

// A MemoryReplay is a [ReplayStore] for a server of one process. It forgets when the process ends: then
// [Config.Started] takes its place.
type MemoryReplay struct {
	maxEntries    int
	maxPerSubject int
	now           func() time.Time

	mu       sync.Mutex
	live     map[[sha256.Size]byte]struct{}
	subjects map[did.DID]int
	buckets  map[int64][]usedProof // by the second until which the proofs are remembered
	swept    int64                 // all buckets up to this second are gone
}

type usedProof struct {
	id      [sha256.Size]byte
	subject did.DID
}

// NewMemoryReplay returns an empty store; nil stands for the defaults.
func NewMemoryReplay(cfg *MemoryReplayConfig) *MemoryReplay {
	if cfg == nil {
		cfg = new(MemoryReplayConfig)
	}
	s := &MemoryReplay{
		maxEntries:    cfg.MaxEntries,
		maxPerSubject: cfg.MaxPerSubject,
		now:           cfg.Time,
		live:          make(map[[sha256.Size]byte]struct{}),
		subjects:      make(map[did.DID]int),
		buckets:       make(map[int64][]usedProof),
	}
	if s.maxEntries <= 0 {
		s.maxEntries = DefaultReplayEntries
	}
	if s.maxPerSubject <= 0 {
		s.maxPerSubject = max(s.maxEntries/8, 1)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.swept = s.now().Unix() - 1
	return s
}

// Use implements [ReplayStore].
func (s *MemoryReplay) Use(_ context.Context, key ReplayKey, until time.Time) error {
	id := sha256.Sum256([]byte(key.KeyThumbprint + "\n" + key.HopID))
	second := until.Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(s.now().Unix() - 1)
	if second <= s.swept {
		return ErrReplayed // if it was used, that is forgotten: the clock was set back
	}
	if _, ok := s.live[id]; ok {
		return ErrReplayed
	}
	if n := s.subjects[key.Subject]; n >= s.maxPerSubject {
		return fmt.Errorf("%w for %q: %d proofs are in flight", ErrFull, key.Subject, n)
	}
	if len(s.live) >= s.maxEntries {
		return ErrFull
	}
	s.live[id] = struct{}{}
	s.subjects[key.Subject]++
	s.buckets[second] = append(s.buckets[second], usedProof{id, key.Subject})
	return nil
}

// Len returns how many proofs are remembered.
func (s *MemoryReplay) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// sweep forgets what has to be remembered until second at most. It never goes back.
func (s *MemoryReplay) sweep(second int64) {
	if second <= s.swept {
		return
	}
	if second-s.swept > int64(len(s.buckets)) {
		for at := range s.buckets {
			if at <= second {
				s.drop(at)
			}
		}
	} else {
		for at := s.swept + 1; at <= second; at++ {
			s.drop(at)
		}
	}
	s.swept = second
}

func (s *MemoryReplay) drop(second int64) {
	for _, used := range s.buckets[second] {
		delete(s.live, used.id)
		if s.subjects[used.subject]--; s.subjects[used.subject] == 0 {
			delete(s.subjects, used.subject)
		}
	}
	delete(s.buckets, second)
}
