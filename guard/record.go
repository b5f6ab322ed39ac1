package guard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
)

// entry is what a decision record is made of.
type entry struct {
	request *Request
	caller  *Principal
	verdict *verdict

	list bool // shown and withheld are the counts of one

	shown, withheld uint64

	shadow bool // the verdict is not enforced; filled in by record
}

// about is the capability that the record names.
func (e *entry) about() *Capability {
	if e.verdict.about != nil {
		return e.verdict.about
	}
	return &e.request.Capability
}

// record keeps the decision. It does not give up when the request does: a caller that hangs up is recorded
// like any other.
func (g *Guard) record(ctx context.Context, e *entry, w *watch) (*evidence.Ack, error) {
	var judged time.Time
	if w.seen != nil {
		judged = g.now()
	}
	e.shadow = g.spares(e.verdict)
	ack, err := g.write(ctx, e, w)
	w.decided(e, ack, judged)
	return ack, err
}

// recordOutcome leaves an outcome to a recorder that takes it without making the caller wait.
func (g *Guard) recordOutcome(ctx context.Context, d *evidence.Draft) (err error) {
	if g.outcomes == nil {
		_, err = g.keep(ctx, d)
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = g.unkept(g.panicked(p).err)
		}
	}()
	if err := g.outcomes.Enqueue(context.WithoutCancel(ctx), d); err != nil {
		return g.unkept(err)
	}
	return nil
}

// keep hands a draft to the recorder, and trusts neither its manners nor its answer.
func (g *Guard) keep(ctx context.Context, d *evidence.Draft) (ack *evidence.Ack, err error) {
	defer func() {
		if p := recover(); p != nil {
			ack, err = nil, g.unkept(g.panicked(p).err)
		}
	}()
	ack, err = g.evidence.Record(context.WithoutCancel(ctx), d)
	switch {
	case err != nil:
		return nil, g.unkept(err)
	case ack == nil || ack.ID == "":
		return nil, g.unkept(errors.New("the recorder acknowledged nothing"))
	}
	return ack, nil
}

func (g *Guard) unkept(err error) error {
	g.log.Error("guard: evidence", "error", err)
	return &UndeterminedError{Refusal: Refusal{Code: CodeEvidenceUnavailable}, err: fmt.Errorf("evidence: %w", err)}
}

func (g *Guard) draft(e *entry) *evidence.Draft {
	r, v, about := e.request, e.verdict, e.about()
	d := &evidence.Decision{
		Caller: e.caller.recorded(), Channel: recordedChannel(e.caller.channel),
		Method: r.Method, Capability: string(about.Kind), Target: about.Name,
		Kind: v.kind(), Rule: v.rule, PolicyVersion: v.version,
		DenyReason: string(v.code), DenyCause: v.cause,
		Shadow: e.shadow, BearerUnsafe: g.bearer,
		Actor: string(v.actor), Tenant: e.caller.tenant, Claimed: evidence.Claimed(r.Claimed), Constraints: v.constraints.recorded(),
		ShadowRule: v.shadow.Rule, ShadowKind: v.shadow.Kind, ShadowReason: string(v.shadow.Code),
		RequestID: r.RequestID, TxnID: r.TxnID, TraceID: r.TraceID, Transport: r.Transport,
	}
	if e.list {
		d.Shown, d.Withheld = new(e.shown), new(e.withheld)
	}
	if v.minLevel != badge.LevelNone && v.minLevel != LevelUnsatisfiable {
		d.MinLevel = v.minLevel.String()
	}
	if p := e.caller.proof; p != nil {
		d.HopID = p.HopID()
		if parent, err := evidence.ParseHash(p.ParentHopHash()); err == nil {
			d.ParentHopHash = parent
		}
	}
	return &evidence.Draft{
		Decision: d, Arguments: r.Arguments, InputResponses: r.InputResponses, Badge: r.Badge, Proof: r.Proof,
	}
}

// recorded returns c for the record: a part of a second counts as a second.
func (c *Constraints) recorded() (out evidence.Constraints) {
	if c == nil {
		return out
	}
	const most = 999_999_999_999_999 // what a record can say
	out = evidence.Constraints{
		MaxRuntimeSec:  uint64(math.Ceil(max(0, c.MaxRuntime).Seconds())),
		MaxResultBytes: uint64(min(max(0, c.MaxResultBytes), most)),
		RatePerMinute:  uint64(min(max(0, c.RatePerMinute), most)),
		MaxConcurrent:  uint64(min(max(0, c.MaxConcurrent), most)),

		IncludedWithinSec: uint64(math.Ceil(max(0, c.IncludedWithin).Seconds())),
		CosignedWithinSec: uint64(math.Ceil(max(0, c.CosignedWithin).Seconds())),
	}
	if c.MaxRetries != nil {
		n := uint64(min(max(0, *c.MaxRetries), most))
		out.MaxRetries = &n
	}
	if c.NetworkAllowlist != nil {
		hosts := strings.Join(c.NetworkAllowlist, " ")
		out.NetworkAllowlist = &hosts
	}
	return out
}

// recordedChannel says whom the transport authenticated. An identity without a subject is nobody's.
func recordedChannel(c ChannelIdentity) evidence.Channel {
	if c == nil || c.Scheme() == "" || c.Subject() == "" {
		return evidence.Channel{}
	}
	out := evidence.Channel{Scheme: c.Scheme(), Subject: c.Subject()}
	if certified, ok := c.(CertifiedChannel); ok {
		if sum, ok := certified.CertificateSHA256(); ok {
			out.Certificate = evidence.Hash(sum)
		}
	}
	return out
}

// recorded says of a caller what was verified, and nothing else. A badge that was not accepted, and any
// string that is not a badge, leave the caller anonymous.
func (p *Principal) recorded() evidence.Caller {
	if p.badge == nil {
		return evidence.Caller{Auth: evidence.AuthAnonymous}
	}
	return evidence.Caller{
		Auth: evidence.AuthBadge, DID: p.badge.Subject(), BadgeID: p.badge.ID(), Issuer: p.badge.Issuer(),
		Level: p.badge.Level().String(), Assurance: string(p.badge.Assurance()),
	}
}
