package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

var constraintNames = [...]string{
	guard.ConstraintCosigned, guard.ConstraintIncluded, guard.ConstraintConcurrency, guard.ConstraintResultSize, guard.ConstraintRetries, guard.ConstraintRuntime,
	guard.ConstraintNetwork, guard.ConstraintRate,
}

// ConstraintNames are the constraints that a file can have, for [Config.Enforces].
func ConstraintNames() []string { return slices.Clone(constraintNames[:]) }

// Constraints implements [guard.Constrainer]: the names of those that rules have, in shadow too.
func (p *Policy) Constraints() []string {
	var all []string
	for i := range p.rules {
		all = append(all, p.rules[i].constraints.Names()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxConfirmSec bounds how long a call can be made to wait for the log.
const maxConfirmSec = 300

// maxCount bounds the numbers of constraints.
const maxCount = 1 << 31

// readConstraints reads constraints that somebody enforces.
func (f *file) readConstraints(n *yaml.Node) (*guard.Constraints, any, error) {
	c, value := &guard.Constraints{}, map[string]any{}
	err := mapping(n, "constraints", func(name string, key, v *yaml.Node) (bool, error) {
		if !slices.Contains(constraintNames[:], name) {
			return false, nil
		}
		if !slices.Contains(f.enforces, name) {
			return true, at(key, "nothing here enforces %s; remove it, or use a server that does", name)
		}
		if name == "network_allowlist" {
			hosts, err := readHosts(v)
			c.NetworkAllowlist, value[name] = hosts, hosts
			return true, err
		}
		count, err := readCount(v, name)
		value[name] = count
		switch name {
		case "max_runtime_sec":
			c.MaxRuntime = time.Duration(count) * time.Second
		case "max_retries":
			c.MaxRetries = &count
			return true, err
		case "max_result_bytes":
			c.MaxResultBytes = int64(count)
		case "rate_per_minute":
			c.RatePerMinute = count
		case "max_concurrent":
			c.MaxConcurrent = count
		case guard.ConstraintIncluded:
			c.IncludedWithin = time.Duration(count) * time.Second
		case guard.ConstraintCosigned:
			c.CosignedWithin = time.Duration(count) * time.Second
		}
		if waits := name == guard.ConstraintIncluded || name == guard.ConstraintCosigned; err == nil && waits && count > maxConfirmSec {
			err = at(v, "%s is %d, the most is %d", name, count, maxConfirmSec)
		}
		if err == nil && count == 0 {
			err = at(v, "%s is 0; write a rule that denies", name)
		}
		return true, err
	})
	if err == nil && len(value) == 0 {
		err = at(n, "constraints names none")
	}
	return c, value, err
}

func readCount(n *yaml.Node, name string) (int, error) {
	f, ok := number([]byte(n.Value))
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || !ok || f < 0 || f >= maxCount ||
		strings.Trim(n.Value, "0123456789") != "" || len(n.Value) > 1 && n.Value[0] == '0' {
		return 0, at(n, "%s is not a number from 0 to 2^31-1", name)
	}
	return int(f), nil
}

// readHosts reads names of hosts; an empty list is none at all.
func readHosts(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxList {
		return nil, at(n, "network_allowlist is not a list of at most %d hosts", maxList)
	}
	hosts := []string{}
	for _, c := range n.Content {
		s, err := plainText(c, "a host")
		if err != nil {
			return nil, err
		}
		if strings.ToLower(s) != s || strings.ContainsAny(s, "/@ *") {
			return nil, at(c, "host %q is not a name in lower case, with or without a port", s)
		}
		hosts = append(hosts, s)
	}
	return hosts, nil
}
