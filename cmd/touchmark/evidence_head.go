package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// A keptFrom is the beginning of a journal whose first records were removed; nil when none were.
type keptFrom struct {
	head   *evidence.JournalHead
	policy *translog.Policy // nil: the log was not asked about

	inclusion *translog.Inclusion // of the last record that was removed
}

// beginChain begins the chain of the records to verify. That of a journal whose first records were removed begins with
// the last of them, which its head holds and proves.
func beginChain(ctx *cli.Context, keys evidence.Keys) (*evidence.Chain, *keptFrom, error) {
	kept, err := readKeptFrom(ctx)
	if err != nil {
		return nil, nil, err
	}
	chain, err := evidence.NewChain(&evidence.ChainConfig{Keys: keys, AllowPartial: ctx.Bool("partial") || kept != nil})
	if err != nil {
		return nil, nil, malformed(err)
	}
	if kept == nil {
		return chain, nil, nil
	}
	if kept.inclusion, err = kept.head.Verify(keys, kept.policy); err != nil {
		return nil, nil, err
	}
	if kept.policy == nil && !ctx.Bool("partial") {
		// Who can write to a journal can cut off its beginning, and write a head: that a log has it, the policy says.
		return nil, nil, hint(undeterminedf("the records before %d were removed, and whether a log has them was not checked", kept.head.First),
			"name its policy with --log-policy, or verify what there is with --partial")
	}
	if kept.inclusion != nil && !kept.head.Alone(kept.inclusion) && !ctx.Bool("partial") {
		return nil, nil, hint(undeterminedf("the records before %d were removed; the log has the last of them, at %d, and others append to it: the receipt does not say that it has the others",
			kept.head.First, kept.inclusion.Index()), "who follows the log knows: touchmark log watch. Verify what there is with --partial")
	}
	_, err = chain.Add(kept.head.Entry)
	return chain, kept, err
}

func readKeptFrom(ctx *cli.Context) (*keptFrom, error) {
	if ctx.Args().Present() || ctx.Path("evidence") == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	head, err := evidence.ReadJournalHead(ctx.Path("evidence"))
	if head == nil || err != nil {
		return nil, err
	}
	kept := &keptFrom{head: head}
	if name := ctx.Path("log-policy"); name != "" {
		text, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		if kept.policy, err = translog.ParsePolicy(text); err != nil {
			return nil, malformed(err)
		}
	}
	return kept, nil
}

// without takes the record that the head holds out of a summary: the journal has it no more.
func (k *keptFrom) without(s *evidence.ChainSummary) {
	if k != nil {
		s.Records--
		s.First = k.head.First
	}
}

// members adds to a verdict how many records were removed, and where a log was asked about them, its name.
func (k *keptFrom) members(m map[string]any) map[string]any {
	if k != nil {
		m["removed"] = k.head.First
		switch {
		case k.policy != nil && !k.head.Alone(k.inclusion):
			m["last_removed_in_log"] = k.inclusion.Checkpoint().Origin()
		case k.policy != nil:
			m["removed_in_log"] = k.inclusion.Checkpoint().Origin()
		}
	}
	return m
}

func (k *keptFrom) text() string {
	switch {
	case k == nil:
		return ""
	case k.policy == nil:
		return fmt.Sprintf("; records before %d were removed, and whether a log has them was not checked", k.head.First)
	}
	if !k.head.Alone(k.inclusion) {
		return fmt.Sprintf("; records before %d were removed, the last of them is in the log %s", k.head.First, k.inclusion.Checkpoint().Origin())
	}
	return fmt.Sprintf("; records before %d were removed, and are in the log %s, if only this server appends to it", k.head.First, k.inclusion.Checkpoint().Origin())
}
