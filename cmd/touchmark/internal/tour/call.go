package tour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

var arguments = map[string]any{"account": "4711"}

// makeCalls makes every agent call every tool. What an agent may not use is not
// in its list and answers as if it did not exist; the records say why.
func makeCalls(ctx context.Context, w *world) error {
	for _, p := range w.agents {
		if err := w.callAll(ctx, p); err != nil {
			return err
		}
	}
	if err := w.checkReasons(); err != nil {
		return err
	}
	if err := w.ledger.Flush(ctx); err != nil {
		return err
	}
	var err error
	w.early, err = w.log.AwaitPublished(ctx, w.ledger.Status().Records-1)
	return err
}

func (w *world) callAll(ctx context.Context, p *party) error {
	a, err := w.connect(ctx, p)
	if err != nil {
		return err
	}
	defer a.session.Close()
	list, err := a.session.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	var shown []string
	for _, t := range list.Tools {
		shown = append(shown, t.Name)
	}
	want := 0
	for _, t := range tools {
		may := p.level.AtLeast(t.level)
		if may {
			want++
		}
		before := w.calls.count(t.name)
		err := callTool(ctx, a.session, t.name, nil)
		ran := w.calls.count(t.name) - before
		switch {
		case may && (err != nil || ran != 1):
			return fmt.Errorf("%s may use %s: it ran %d times, %w", p.name, t.name, ran, orNone(err))
		case !may && (err == nil || ran != 0):
			return fmt.Errorf("%s may not use %s, and it ran %d times", p.name, t.name, ran)
		}
	}
	if len(shown) != want {
		return fmt.Errorf("%s is shown %d tools, and may use %d", p.name, len(shown), want)
	}
	w.find("%-6s (level %s) was shown and could use: %s", p.name, p.level, strings.Join(shown, ", "))
	return nil
}

func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// callTool calls a tool and checks that the answer names its record.
func callTool(ctx context.Context, session *mcp.ClientSession, name string, meta mcp.Meta) error {
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments, Meta: meta})
	if err != nil {
		return err
	}
	if res.IsError {
		return errors.New("the tool reports an error")
	}
	text, err := json.Marshal(res.GetMeta()[mcpwire.MetaEvidence])
	if err != nil {
		return err
	}
	var named mcpwire.Evidence
	if err := json.Unmarshal(text, &named); err != nil || named.ID == "" || named.LeafHash == "" {
		return fmt.Errorf("the answer of %s names no record", name)
	}
	return nil
}

// checkReasons reads in the journal why calls were denied.
func (w *world) checkReasons() error {
	counts := map[string]int{}
	for stored, err := range evidence.ReadJournal(w.path("journal"), 0) {
		if err != nil {
			return err
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			return err
		}
		d := e.Record.Decision
		if d == nil || d.Method != "tools/call" {
			continue
		}
		if d.Kind.Allows() {
			counts["allowed"]++
		} else {
			counts[d.DenyReason]++
		}
	}
	if counts["allowed"] != 6 || counts["TOOL_TRUST_INSUFFICIENT"] != 3 || len(counts) != 2 {
		return fmt.Errorf("the journal holds other decisions than were made: %v", counts)
	}
	w.find("the journal: 6 allowed, 3 denied as TOOL_TRUST_INSUFFICIENT")
	return nil
}

// refusalCode returns the reason code with which a guard refused, "" for any
// other error and for none.
func refusalCode(err error) string {
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) {
		return ""
	}
	var d mcpwire.Denial
	if json.Unmarshal(wire.Data, &d) != nil {
		return ""
	}
	return d.ReasonCode + "/" + d.Cause
}

// A thief calls with whatever _meta it likes, from a client of its own.
func (w *world) thief(ctx context.Context) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "thief", Version: "0"}, nil)
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: w.endpoint(), HTTPClient: &http.Client{Transport: w.tls.transport()},
	}, nil)
}

// refused checks that a call of read_account with meta is refused with want, and
// that nothing ran.
func (w *world) refused(ctx context.Context, meta mcp.Meta, what, want string) error {
	session, err := w.thief(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	before := w.calls.count("read_account")
	err = callTool(ctx, session, "read_account", meta)
	if err == nil || w.calls.count("read_account") != before {
		return fmt.Errorf("%s: the call ran", what)
	}
	if got := refusalCode(err); strings.TrimSuffix(got, "/") != want {
		return fmt.Errorf("%s: refused with %q, want %q: %w", what, got, want, err)
	}
	w.find("%s: %s", what, want)
	return nil
}

// stealBadge plays a thief who has seen a badge, and one who has seen a whole
// call, but not the key.
func stealBadge(ctx context.Context, w *world) error {
	victim := w.reader()
	a, err := w.connect(ctx, victim)
	if err != nil {
		return err
	}
	defer a.session.Close()
	if err := callTool(ctx, a.session, "read_account", nil); err != nil {
		return err
	}
	overheard := a.sent[len(a.sent)-1]
	if err := w.refused(ctx, mcp.Meta{mcpwire.MetaBadge: victim.badge},
		"a stolen badge alone", string(pop.CodeMissing)); err != nil {
		return err
	}
	forged, txn, err := w.signWith(w.agents[0], victim.badge)
	if err != nil {
		return err
	}
	meta := mcp.Meta{mcpwire.MetaBadge: victim.badge, mcpwire.MetaHop: forged, mcpwire.MetaTxn: txn}
	if err := w.refused(ctx, meta, "a stolen badge and the thief's own key", string(pop.CodeSignatureInvalid)); err != nil {
		return err
	}
	return w.refused(ctx, overheard, "a whole call, recorded and sent again", string(pop.CodeReplayed))
}

// signWith makes a proof for a badge with the key of p.
func (w *world) signWith(p *party, token string) (proof, txn string, err error) {
	args, err := json.Marshal(arguments)
	if err != nil {
		return "", "", err
	}
	txn = pop.NewTxnID()
	proof, err = mcpverify.SignCall(p.key, token, &pop.Statement{
		Call: &pop.Call{Method: "tools/call", Target: "read_account", Arguments: args}, Server: w.server.did, TxnID: txn,
	})
	return proof, txn, err
}
