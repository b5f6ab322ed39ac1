// Package vectorkit has what the generators of test vectors share. Begin with
// [Files].
package vectorkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Files are the vectors of an area, by file name.
type Files map[string][]byte

// Add writes the vector v into a file of its own, for which the name must be fit.
func (f Files) Add(name string, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	file := name + ".json"
	if _, taken := f[file]; taken || name == "" || strings.ContainsAny(name, "/. ") {
		return errors.New("the name is taken, or not for a file")
	}
	f[file] = text.Bytes()
	return nil
}
