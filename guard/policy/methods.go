package policy

import (
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// otherMethods is the member for the methods that are not in the table.
const otherMethods = "_other"

// readMethods reads the table of methods. What it does not name is denied.
func (f *file) readMethods(n *yaml.Node) error {
	f.policy.methods = make(map[string]bool)
	value := map[string]any{}
	err := mapping(n, "_methods", func(name string, key, v *yaml.Node) (bool, error) {
		what, err := text(v, name)
		if err != nil {
			return true, err
		}
		class := guard.MethodNamed(name).Class
		list := class == guard.ListMethod
		switch {
		case class == guard.OpenMethod:
			return true, at(key, "%s is open to everybody; a policy is not asked about it", name)
		case what == "deny":
		case name == otherMethods:
			return true, at(v, "_other is not deny; nothing else is done with methods that the table does not name")
		case list && what == "filter", !list && what == "evaluate":
			f.policy.methods[name] = true
		case list:
			return true, at(v, "%s is not filter or deny, and lists know nothing else", name)
		default:
			return true, at(v, "%s is not evaluate or deny, and this method knows nothing else", name)
		}
		if _, err := plainText(key, "the name of a method"); err != nil {
			return true, err
		}
		value[name] = what
		return true, nil
	})
	if err == nil && value[otherMethods] == nil {
		err = at(n, "_methods does not say what becomes of the others; write \"_other: deny\"")
	}
	f.canonical["_methods"] = value
	return err
}
