package pin

import "strings"

// command returns the command line that does something to the pin of a place.
func (p *Place) command(verb string, args ...string) string {
	words := append([]string{p.store.cfg.Command, verb, "--pins", quote(p.store.path)}, args...)
	return strings.Join(append(words, quote(p.endpoint)), " ")
}

// quote makes one word of a shell's command line.
func quote(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._/:@=+,%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
