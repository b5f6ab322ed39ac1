package evidence

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"math/bits"
	"slices"
	"strconv"
)

// Limits of what parameters are taken apart into. Beyond them values are committed to as wholes, see [tree.cut].
const (
	MaxTreeLevels = 32   // levels of values; the two parts are the first
	MaxTreeValues = 1024 // values on all levels
)

// maxTreeDepth is how often at most a container's leaves are paired.
const maxTreeDepth = 11 // bits.Len(MaxTreeValues)

// A tree makes the commitment to the parameters of one record (spec/evidence.md section 4.1). It walks over their
// canonical form once. The zero tree is ready for use.
type tree struct {
	text    []byte // the canonical form of one part
	pos     int
	levels  int    // how many levels of values are committed to one by one
	leaves  []Hash // commitments to the values in all containers that the walk is in
	scratch []byte
	open    *opening // what is to be opened; nil for nothing
}

// An opening collects what a [Disclosure] shows.
type opening struct {
	path     []Step
	value    []byte
	key      Salt
	siblings [][]Hash // of each step, the nearest first
}

// The parts in the order of their commitments in the root.
var (
	parts     = [...]Part{PartArguments, PartInputResponses}
	partSteps = [...]Step{PartArguments.step(), PartInputResponses.step()}
)

// commit returns the commitment to both parts. It fails where a part has no canonical form.
func (t *tree) commit(salt *Salt, p *Params) (Hash, error) {
	var texts [len(parts)][]byte
	for i, text := range [...][]byte{p.Arguments, p.InputResponses} {
		var err error
		if texts[i], err = canonicalObject(text); err != nil {
			return Hash{}, err
		}
	}
	t.levels = cut(texts[:])
	room := new(struct {
		leaves  [8]Hash
		scratch [256]byte
	})
	t.leaves, t.scratch = room.leaves[:0], room.scratch[:0]
	var roots [len(parts)]Hash
	for i, part := range parts {
		step := partSteps[i]
		key := t.derive(salt, contextPart, string(part))
		t.text, t.pos = texts[i], 0
		roots[i] = t.value(&key, []byte(step), 1, t.open != nil && t.open.path[0] == step)
	}
	if t.open != nil {
		for i, step := range partSteps {
			if t.open.path[0] == step {
				t.open.siblings[0] = []Hash{roots[1-i]}
			}
		}
	}
	return t.root(&roots), nil
}

// value commits to the value at the walk's place and passes over it. The step leads to it. It is on a level, and on
// the path to what is opened or not.
func (t *tree) value(key *Salt, step []byte, level int, on bool) Hash {
	start, opened := t.pos, on && len(t.open.path) == level
	var h Hash
	if c := t.text[t.pos]; (c == '{' || c == '[') && level < t.levels {
		h = t.container(key, step, level, on && !opened)
	} else {
		t.skip()
		h = t.leaf(key, step, t.text[start:t.pos])
	}
	if opened {
		t.open.key, t.open.value = *key, t.text[start:t.pos]
	}
	return h
}

// container commits to an object or array by its members or elements.
func (t *tree) container(key *Salt, step []byte, level int, on bool) Hash {
	kind, base := t.text[t.pos], len(t.leaves)
	var next Hash // on the path to what is opened
	var digits [20]byte
	var childKey Salt
	t.pos++
	for i := 0; t.text[t.pos] != closing(kind); i++ {
		if t.text[t.pos] == ',' {
			t.pos++
		}
		child := digits[:0]
		if kind == '[' {
			child = strconv.AppendInt(child, int64(i), 10)
		} else {
			start := t.pos
			t.skip()
			child = t.text[start:t.pos]
			t.pos++ // the colon
		}
		childOn := on && string(t.open.path[level]) == string(child)
		childKey = t.deriveBytes(key, child)
		h := t.value(&childKey, child, level+1, childOn)
		if t.leaves = append(t.leaves, h); childOn {
			next = h
		}
	}
	t.pos++
	if list := t.leaves[base:]; kind == '{' { // the order of commitments tells nothing of that of names
		slices.SortFunc(list, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	}
	var siblings *[]Hash
	at := 0
	if on {
		siblings = &t.open.siblings[level]
		at = slices.Index(t.leaves[base:], next)
	}
	depth := bits.Len(uint(len(t.leaves) - base))
	top := t.pair(key, base, kind, at, siblings)
	t.leaves = t.leaves[:base]
	return t.node(kind, depth, &top, step)
}

// pair makes one hash of the leaves of a container from base on. At least one place is left over, and what
// is left over is filled, so that nobody who is shown a leaf learns how many there are. The siblings
// of the leaf at a place are kept if they are asked for.
func (t *tree) pair(key *Salt, base int, kind byte, at int, siblings *[]Hash) Hash {
	depth := bits.Len(uint(len(t.leaves) - base))
	for level := range depth {
		if (len(t.leaves)-base)%2 == 1 {
			t.leaves = append(t.leaves, t.pad(key, level))
		}
		list := t.leaves[base:]
		if siblings != nil {
			*siblings = append(*siblings, list[at^1])
			at >>= 1
		}
		for i := range len(list) / 2 {
			list[i] = t.inner(kind, &list[2*i], &list[2*i+1])
		}
		t.leaves = t.leaves[:base+len(list)/2]
	}
	if len(t.leaves) == base {
		return t.pad(key, 0) // an empty container
	}
	return t.leaves[base]
}

// pad fills 2^level places of a container.
func (t *tree) pad(key *Salt, level int) Hash {
	var digits [24]byte
	return Hash(t.deriveBytes(key, strconv.AppendInt(append(digits[:0], "pad "...), int64(level), 10)))
}

// leaf commits to a value that is not taken apart.
func (t *tree) leaf(key *Salt, step, value []byte) Hash {
	b := append(append(t.scratch[:0], contextLeaf...), key[:]...)
	b = append(append(b, step...), ':')
	t.scratch = append(b, value...)
	return sha256.Sum256(t.scratch)
}

// node is the commitment to a container whose places were paired depth times.
func (t *tree) node(kind byte, depth int, top *Hash, step []byte) Hash {
	b := append(append(t.scratch[:0], contextNode...), kind, byte(depth)) //nolint:gosec // at most maxTreeDepth
	t.scratch = append(append(b, top[:]...), step...)
	return sha256.Sum256(t.scratch)
}

// inner hashes a pair: of elements in their order, of members the lesser first, so that no place is shown.
func (t *tree) inner(kind byte, a, b *Hash) Hash {
	if kind == '{' && bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	t.scratch = append(append(append(t.scratch[:0], contextInner...), a[:]...), b[:]...)
	return sha256.Sum256(t.scratch)
}

func (t *tree) root(roots *[len(parts)]Hash) Hash {
	t.scratch = append(t.scratch[:0], contextRoot...)
	for i := range roots {
		t.scratch = append(t.scratch, roots[i][:]...)
	}
	return sha256.Sum256(t.scratch)
}

// derive returns HMAC-SHA-256 under key of both texts.
func (t *tree) derive(key *Salt, context, text string) Salt {
	t.inward(key)
	t.scratch = append(append(t.scratch, context...), text...)
	return t.outward(key)
}

func (t *tree) deriveBytes(key *Salt, text []byte) Salt {
	t.inward(key)
	t.scratch = append(t.scratch, text...)
	return t.outward(key)
}

// inward and outward are RFC 2104 for keys of 32 bytes. There is a key for each value, and crypto/hmac allocates
// several times for each key.
func (t *tree) inward(key *Salt) { t.fill(key, innerPad) }

func (t *tree) outward(key *Salt) Salt {
	sum := sha256.Sum256(t.scratch)
	t.fill(key, outerPad)
	t.scratch = append(t.scratch, sum[:]...)
	return sha256.Sum256(t.scratch)
}

// The two pads of RFC 2104, a block long.
const (
	innerPad = "6666666666666666666666666666666666666666666666666666666666666666"
	outerPad = `\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\`
)

// fill begins the scratch with a pad that has the key in it.
func (t *tree) fill(key *Salt, pad string) {
	t.scratch = append(t.scratch[:0], pad...)
	subtle.XORBytes(t.scratch, t.scratch[:len(key)], key[:])
}

// skip passes over a value or name of canonical text.
func (t *tree) skip() { t.pos = skipCanonical(t.text, t.pos) }

func skipCanonical(text []byte, pos int) int {
	depth := 0
	for ; pos < len(text); pos++ {
		switch text[pos] {
		case '"':
			pos = closingQuote(text, pos)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return pos
			}
			depth--
		case ',':
			if depth == 0 {
				return pos
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return pos + 1
		}
	}
	return pos
}

// closingQuote returns the place of the quote that ends the string that begins at pos.
func closingQuote(text []byte, pos int) int {
	for start := pos + 1; ; {
		pos = start + bytes.IndexByte(text[start:], '"')
		escapes := 0
		for escapes < pos-start && text[pos-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return pos
		}
		start = pos + 1
	}
}

func closing(kind byte) byte { return kind + 2 }

// cut returns how many levels of values are committed to one by one: as many as have MaxTreeValues values
// together, and MaxTreeLevels at most. So no caller makes the server hash more than that, however it nests.
func cut(texts [][]byte) int {
	var counts [MaxTreeLevels + 1]int // of values on each level
	for _, text := range texts {
		countValues(text, &counts)
	}
	total := 0
	for level := 1; level <= MaxTreeLevels; level++ {
		if total += counts[level]; total > MaxTreeValues {
			return level - 1
		}
	}
	return MaxTreeLevels
}

func countValues(text []byte, counts *[MaxTreeLevels + 1]int) {
	depth := 0
	count := func() {
		if depth+1 <= MaxTreeLevels {
			counts[depth+1]++
		}
	}
	count()
	for pos := 0; pos < len(text); pos++ {
		switch c := text[pos]; c {
		case '"':
			pos = closingQuote(text, pos)
		case '{', '[':
			if depth++; text[pos+1] != closing(c) {
				count()
			}
		case '}', ']':
			depth--
		case ',':
			count()
		}
	}
}
