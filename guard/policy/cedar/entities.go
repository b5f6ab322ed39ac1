package cedar

import (
	"fmt"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// Types of entities.
const (
	typeAgent     = "Agent"
	typeAnonymous = "Anonymous"
	typeAction    = "Action"
	typeServer    = "Server"
	typeMethod    = "Method"
)

var kinds = map[guard.Kind]types.EntityType{
	guard.KindTool: "Tool", guard.KindPrompt: "Prompt", guard.KindResource: "Resource",
	guard.KindTemplate: "ResourceTemplate", guard.KindMethod: typeMethod,
}

// entities are the three of one request, and no others.
type entities struct{ principal, action, resource types.Entity }

// Get implements types.EntityGetter.
func (e *entities) Get(uid types.EntityUID) (types.Entity, bool) {
	for _, one := range [...]*types.Entity{&e.principal, &e.action, &e.resource} {
		if one.UID == uid {
			return *one, true
		}
	}
	return types.Entity{}, false
}

// A question is a call in Cedar's terms.
type question struct {
	entities entities
	context  types.RecordMap
	about    *policy.CapabilityInfo
}

func (p *Policy) ask(c *policy.Call) (*question, error) {
	kind, ok := kinds[c.Capability.Kind]
	if !ok {
		return nil, fmt.Errorf("cedar: no entities for capabilities of kind %q", c.Capability.Kind)
	}
	q := &question{context: make(types.RecordMap)}
	c.Complete(p.cfg.Server, p.cfg.Environment)
	if err := q.setPrincipal(c, &p.asks); err != nil {
		return nil, err
	}
	q.setAction(c)
	if p.cfg.Capabilities != nil {
		q.about = p.cfg.Capabilities.Describe(c.Capability)
	}
	q.setResource(c, kind)
	now := c.Time
	if now.IsZero() {
		now = p.cfg.Time()
	}
	return q, q.setContext(c, now, &p.asks)
}

func (q *question) setPrincipal(c *policy.Call, asks *mentions) error {
	uid, attrs := types.NewEntityUID(typeAnonymous, "anonymous"), make(types.RecordMap)
	if who := &c.Caller; who.Level != badge.LevelNone {
		uid = types.NewEntityUID(typeAgent, types.String(who.DID))
		attrs["level"] = types.Long(who.Level - badge.LevelSelfSigned)
		known(attrs, "did", who.DID)
		known(attrs, "issuer", who.Issuer)
		known(attrs, "assurance", who.Assurance)
		known(attrs, "badge_actor", string(who.BadgeActor))
	}
	known(attrs, "spiffe_id", c.Caller.SPIFFEID)
	if c.Caller.HasUID {
		attrs["uid"] = types.Long(c.Caller.UID)
	}
	if len(c.Facts.Claims) > 0 && asks.claims {
		claims, err := document(c.Facts.Claims, asks)
		if err != nil {
			return fmt.Errorf("cedar: claims: %w", err)
		}
		attrs[attrClaims] = claims
	}
	q.entities.principal = types.Entity{UID: uid, Attributes: types.NewRecord(attrs)}
	return nil
}

// known adds an attribute of what is known.
func known(attrs types.RecordMap, name types.String, value string) {
	if value != "" {
		attrs[name] = types.String(value)
	}
}

// setAction names the method. For an entry of a list it is that by which the entry is used.
func (q *question) setAction(c *policy.Call) {
	method, verb := c.Method, "invoke"
	if c.Verb != guard.Invoke {
		verb = "discover"
		if used := policy.UsualMethod(c.Capability.Kind); used != "" {
			method = used
		}
	}
	q.context["verb"] = types.String(verb)
	q.entities.action = types.Entity{
		UID:     types.NewEntityUID(typeAction, types.String(method)),
		Parents: types.NewEntityUIDSet(types.NewEntityUID(typeAction, types.String(verb))),
	}
}

func (q *question) setResource(c *policy.Call, kind types.EntityType) {
	attrs := types.RecordMap{"name": types.String(c.Capability.Name)}
	if q.about != nil {
		labels := make(types.RecordMap)
		for name, values := range q.about.Labels {
			labels[types.String(name)] = texts(values)
		}
		attrs["labels"], attrs["risk_tags"] = types.NewRecord(labels), texts(q.about.RiskTags)
	}
	q.entities.resource = types.Entity{
		UID: types.NewEntityUID(kind, types.String(c.Capability.Name)), Attributes: types.NewRecord(attrs),
	}
	if c.Facts.Server != "" {
		q.entities.resource.Parents = types.NewEntityUIDSet(types.NewEntityUID(typeServer, types.String(c.Facts.Server)))
	}
}

func texts(all []string) types.Set {
	values := make([]types.Value, len(all))
	for i, s := range all {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

func (q *question) setContext(c *policy.Call, now time.Time, asks *mentions) error {
	known(q.context, "method", c.Method)
	known(q.context, "server", c.Facts.Server)
	known(q.context, "environment", c.Facts.Environment)
	known(q.context, "tenant", c.Facts.Tenant)
	known(q.context, "actor", string(c.Facts.Actor))
	q.context["time"] = types.NewDatetime(now)
	if len(c.Arguments) == 0 || !asks.arguments || c.Verb != guard.Invoke {
		return nil
	}
	arguments, err := document(c.Arguments, asks)
	if err != nil {
		return fmt.Errorf("cedar: arguments: %w", err)
	}
	q.context[attrArguments] = arguments
	return nil
}

func (q *question) request() cedar.Request {
	return cedar.Request{
		Principal: q.entities.principal.UID, Action: q.entities.action.UID, Resource: q.entities.resource.UID,
		Context: types.NewRecord(q.context),
	}
}
