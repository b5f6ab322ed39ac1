package translogtest

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// An Installation is where a log lives while nobody has it open. Open is needed; what hangs on a field that is nil is
// not tested.
type Installation struct {
	// Open opens the log, which is empty at first.
	Open func(ctx context.Context) (Engine, error)

	// Signer is the log's own, with which the test signs a tree of every size.
	Signer *translog.Signer

	// Source is where readers find it.
	Source tlogclient.Source

	// Reopens says that Open goes on with what the last Engine left.
	Reopens bool

	// Locked is the error of an Open while another Engine has the log open. ManyWriters says that there is none, and
	// that both may append.
	Locked      error
	ManyWriters bool

	// Command is a process of the test program that opens the log and calls [AppendUntilKilled].
	Command func() *exec.Cmd

	// Fill makes the storage refuse to grow, until release is called.
	Fill func(t testing.TB) (release func())

	// SetBack makes what is stored look as if a clock had written it that has been set back since.
	SetBack func(t testing.TB)
}

// A check is one part of the conformance test.
type check struct {
	name  string
	run   func(*engineTest)
	needs func(*Installation) bool // nil for nothing
}

var checks = []check{
	{name: "EmptyLog", run: (*engineTest).emptyLog},
	{name: "AppendKeepsOrder", run: (*engineTest).appendKeepsOrder},
	{name: "AppendCopiesItsInput", run: (*engineTest).appendCopiesItsInput},
	{name: "Duplicates", run: (*engineTest).duplicates},
	{name: "RefusedAppendLeavesNoTrace", run: (*engineTest).refusedAppendLeavesNoTrace},
	{name: "LargestEntry", run: (*engineTest).largestEntry},
	{name: "ConcurrentAppendsStayTogether", run: (*engineTest).concurrentAppendsStayTogether},
	{name: "CanceledAppendIsSettled", run: (*engineTest).canceledAppendIsSettled},
	{name: "ProofsVerify", run: (*engineTest).proofsVerify},
	{name: "ConsistencyVerifies", run: (*engineTest).consistencyVerifies},
	{name: "AwaitEndsWithContext", run: (*engineTest).awaitEndsWithContext},
	{name: "AppendAfterClose", run: (*engineTest).appendAfterClose},
	{name: "CheckpointsGrow", run: (*engineTest).checkpointsGrow},
	{"ProofsAtEverySize", (*engineTest).proofsAtEverySize, func(in *Installation) bool { return in.Signer != nil && in.Source != nil }},
	{"Restart", (*engineTest).restart, func(in *Installation) bool { return in.Reopens }},
	{"Killed", (*engineTest).killed, func(in *Installation) bool { return in.Reopens && in.Command != nil }},
	{"SecondWriterRefused", (*engineTest).secondWriterRefused, func(in *Installation) bool { return in.Locked != nil }},
	{"TwoWriters", (*engineTest).twoWriters, func(in *Installation) bool { return in.ManyWriters }},
	{"FullStorage", (*engineTest).fullStorage, func(in *Installation) bool { return in.Reopens && in.Fill != nil }},
	{"ClockSetBack", (*engineTest).clockSetBack, func(in *Installation) bool { return in.Reopens && in.SetBack != nil }},
}

// TestInstallation runs the conformance test: what [TestEngine] tells, duplicates, checkpoints that only grow, proofs
// in the tree of every size up to 1,025 entries, and, as far as the Installation has them, restarts, processes that are killed,
// second writers, full storage and clocks that are set back. install returns a new, empty log.
func TestInstallation(t *testing.T, install func(t *testing.T) *Installation) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			in := install(t)
			if c.needs != nil && !c.needs(in) {
				t.Skip("there is nothing to test it with: see Installation")
			}
			c.on(t, in, patience)
		})
	}
}

// on runs a check on a new log.
func (c *check) on(t testing.TB, in *Installation, patience time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := &engineTest{TB: t, ctx: ctx, in: in}
	e.open()
	defer func() {
		// t.Context has ended by the time a Cleanup would run.
		if err := e.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	c.run(e)
}

// open opens the log, again or for the first time.
func (e *engineTest) open() {
	e.Helper()
	engine, err := e.in.Open(e.ctx)
	if err != nil {
		e.Fatalf("Open: %v", err)
	}
	e.Engine = engine
}

func (e *engineTest) mustClose() {
	e.Helper()
	if err := e.Close(e.ctx); err != nil {
		e.Fatalf("Close: %v", err)
	}
}
