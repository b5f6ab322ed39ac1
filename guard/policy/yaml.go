package policy

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/internal/strictyaml"
)

// parseYAML returns the one value of a file.
func parseYAML(data []byte) (*yaml.Node, error) {
	root, err := strictyaml.Document(data, MaxBytes)
	return root, own(err)
}

// mapping walks the members of n, each once and each known to field, which returns false for a name that it
// does not know.
func mapping(n *yaml.Node, what string, field func(name string, key, value *yaml.Node) (bool, error)) error {
	return own(strictyaml.Mapping(n, what, field))
}

func text(n *yaml.Node, what string) (string, error) {
	s, err := strictyaml.Text(n, what)
	return s, own(err)
}

// own makes the reader's errors those of a policy.
func own(err error) error {
	var e *strictyaml.Error
	if errors.As(err, &e) {
		return &Error{Line: e.Line, Column: e.Column, Reason: e.Reason}
	}
	return err
}
