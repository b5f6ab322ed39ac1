package gates_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard/telemetry"
	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

// ruleFile is a file of rules as Prometheus reads it; what it does not know, it refuses.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readRules(t *testing.T) []rule {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(gates.Rules()))
	d.KnownFields(true)
	var file ruleFile
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

// TestRules: each gate has the rules that its bounds ask for, with the same numbers, times and metrics.
func TestRules(t *testing.T) {
	byGate := map[string]map[string]rule{}
	for _, r := range readRules(t) {
		gate, severity := r.Labels["gate"], r.Labels["severity"]
		if byGate[gate] == nil {
			byGate[gate] = map[string]rule{}
		}
		if _, twice := byGate[gate][severity]; twice || r.Annotations["summary"] == "" || !strings.HasPrefix(r.Alert, "Touchmark") {
			t.Errorf("rule %q is there twice, or has no summary or another name", r.Alert)
		}
		byGate[gate][severity] = r
	}
	for _, g := range gates.All() {
		bounds := map[string]float64{"block": g.Block}
		if g.Target != g.Block {
			bounds["target"] = g.Target
		}
		if len(byGate[g.ID]) != len(bounds) {
			t.Errorf("%s has %d rules, want %d", g.ID, len(byGate[g.ID]), len(bounds))
		}
		for severity, bound := range bounds {
			r := byGate[g.ID][severity]
			op := ">"
			if severity == "target" && g.StrictTarget {
				op = ">="
			}
			if want := fmt.Sprintf(" %s %g", op, bound); !strings.HasSuffix(r.Expr, want) {
				t.Errorf("%s %s: %q does not end with %q", g.ID, severity, r.Expr, want)
			}
			if !strings.Contains(r.Expr, g.Metric) || strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
				t.Errorf("%s %s: %q is not about %s, or its parentheses do not match", g.ID, severity, r.Expr, g.Metric)
			}
			wait := time.Duration(0)
			if r.For != "" {
				var err error
				if wait, err = time.ParseDuration(r.For); err != nil {
					t.Error(err)
				}
			}
			if wait != g.For {
				t.Errorf("%s %s: for %v, want %v", g.ID, severity, wait, g.For)
			}
			if owner := strings.ReplaceAll(strings.ToLower(g.Owner), " ", "_"); r.Labels["owner"] != owner {
				t.Errorf("%s: owner %q, want %q", g.ID, r.Labels["owner"], owner)
			}
		}
		delete(byGate, g.ID)
	}
	if len(byGate) != 0 {
		t.Errorf("rules for no gate: %v", byGate)
	}
}

// TestRulesNameMetrics: whatever a rule measures is a metric that there is, with labels that it has.
func TestRulesNameMetrics(t *testing.T) {
	tel, err := telemetry.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tel.ObserveApprovals()(time.Second)
	tel.ObserveScans()(true)
	var page bytes.Buffer
	if err := tel.WriteMetrics(&page); err != nil {
		t.Fatal(err)
	}
	have := page.String() + "\ntouchmark_registry_servers_total{verdict=\"unknown\"} 0\n" // serververify/registry writes it
	for _, r := range readRules(t) {
		selectors := regexp.MustCompile(`touchmark_\w+(\{\w+="\w+"\})?`).FindAllString(r.Expr, -1)
		if len(selectors) == 0 {
			t.Errorf("%s measures nothing", r.Alert)
		}
		for _, s := range selectors {
			name, label, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
			if !regexp.MustCompile(`(?m)^` + name + `(\{[^}]*` + regexp.QuoteMeta(label) + `[^}]*\})? `).MatchString(have) {
				t.Errorf("%s measures %s, which there is not", r.Alert, s)
			}
		}
	}
}
