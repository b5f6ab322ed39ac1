package translogtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// mustHave wants the log to have these numbered entries and no more.
func (e *engineTest) mustHave(total int) {
	e.Helper()
	e.mustSize(uint64(total)) //nolint:gosec // a count
	for i, want := range numbered(0, total) {
		// The lengths of numbered entries hang on the batch: the number alone counts.
		want, _, _ = bytes.Cut(want, []byte("x"))
		if got, err := e.Entry(e.ctx, uint64(i)); err != nil || !bytes.HasPrefix(got, want) { //nolint:gosec // a count
			e.Fatalf("Entry(%d) = %q, %v, want %q", i, got, err, want)
		}
	}
}

// continues wants a published checkpoint of the whole log, which continues an older one.
func (e *engineTest) continues(older *translog.Checkpoint, total int) *translog.Checkpoint {
	e.Helper()
	cp := e.mustAwait(uint64(total - 1)) //nolint:gosec // a count
	if cp.Size() != uint64(total) {      //nolint:gosec // a count
		e.Fatalf("published %d entries, want %d", cp.Size(), total)
	}
	e.checkRoot(cp)
	if older != nil {
		e.checkConsistency(e, older, cp)
	}
	return cp
}

// restart closes the log and opens it again, with the last entries published and not.
func (e *engineTest) restart() {
	var cp *translog.Checkpoint
	total := 0
	for round := range 4 {
		e.mustHave(total)
		if first := e.mustAppend(numbered(total, 90)); first != uint64(total) { //nolint:gosec // a count
			e.Fatalf("after a restart Append returned index %d, want %d", first, total)
		}
		total += 90
		if round%2 == 0 {
			cp = e.continues(cp, total)
		}
		e.mustClose()
		e.open()
		cp = e.continues(cp, total)
	}
	e.mustHave(total)
}

// AppendUntilKilled appends numbered entries and writes a line to out for each that is acknowledged. It returns only
// with an error: the process that calls it is there to be killed (see Installation.Command).
func AppendUntilKilled(ctx context.Context, e Engine, out io.Writer) error {
	size, err := e.Size(ctx)
	if err != nil {
		return err
	}
	for next := int(size); ; next += 7 { //nolint:gosec // a count
		if _, err := e.Append(ctx, numbered(next, 7)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s%d\n", acknowledged, next+7); err != nil {
			return err
		}
	}
}

const acknowledged = "translogtest: acknowledged "

// killed has a process append, kills it in the middle, and looks for what it had acknowledged.
func (e *engineTest) killed() {
	var cp *translog.Checkpoint
	for round := range 3 {
		e.mustClose()
		child := e.start()
		time.Sleep(time.Duration(30+70*round) * time.Millisecond)
		acked := child.kill()
		e.open()
		size, err := e.Size(e.ctx)
		if err != nil || size < uint64(acked) { //nolint:gosec // a count
			e.Fatalf("round %d: Size = %d, %v, but %d entries were acknowledged", round, size, err, acked)
		}
		e.mustHave(int(size))           //nolint:gosec // a count
		cp = e.continues(cp, int(size)) //nolint:gosec // a count
	}
}

// A child is a process that appends.
type child struct {
	e    *engineTest
	cmd  *exec.Cmd
	said chan int // what it acknowledged in the end
}

// start returns when a process has acknowledged something.
func (e *engineTest) start() *child {
	e.Helper()
	cmd := e.in.Command()
	var output bytes.Buffer
	cmd.Stderr = &output
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	c := &child{e: e, cmd: cmd, said: make(chan int, 1)}
	began := make(chan bool, 1)
	go func() {
		acked := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), acknowledged); ok {
				_, _ = fmt.Sscan(n, &acked) // half a line is none
				select {
				case began <- true:
				default:
				}
			}
		}
		close(began)
		c.said <- acked
	}()
	select {
	case ok := <-began:
		if !ok {
			e.Fatalf("the process acknowledged nothing: %v\n%s", cmd.Wait(), output.Bytes())
		}
	case <-e.ctx.Done():
		c.kill()
		e.Fatalf("the process acknowledges nothing\n%s", output.Bytes())
	}
	return c
}

// kill returns how many entries the process had acknowledged.
func (c *child) kill() int {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	acked := <-c.said
	_ = c.cmd.Wait() // killed
	return acked
}

// secondWriterRefused opens a log that is open, here and in another process.
func (e *engineTest) secondWriterRefused() {
	e.mustAppend(numbered(0, 10))
	e.mustBeLocked("a log that is open")
	e.mustAppend(numbered(10, 10))
	e.mustHave(20)
	if e.in.Command != nil {
		e.mustClose()
		child := e.start()
		e.mustBeLocked("a log that another process has open")
		acked := child.kill()
		e.open()
		if size, err := e.Size(e.ctx); err != nil || size < uint64(acked) { //nolint:gosec // a count
			e.Errorf("Size = %d, %v, want at least %d", size, err, acked)
		}
	}
	size, err := e.Size(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.continues(nil, int(size)) //nolint:gosec // a count
}

func (e *engineTest) mustBeLocked(what string) {
	e.Helper()
	second, err := e.in.Open(e.ctx)
	if err == nil {
		_ = second.Close(e.ctx) // what it does is told below
	}
	if !errors.Is(err, e.in.Locked) {
		e.Errorf("opening %s: %v, want %v", what, err, e.in.Locked)
	}
}

// twoWriters append at once. Each entry is there once, and those of a writer in the order of its calls.
func (e *engineTest) twoWriters() {
	const calls, each = 30, 4
	second, err := e.in.Open(e.ctx)
	if err != nil {
		e.Fatalf("a second Open: %v", err)
	}
	var wg sync.WaitGroup
	for w, engine := range []Engine{e.Engine, second} {
		wg.Go(func() {
			for c := range calls {
				entries := make([][]byte, each)
				for i := range entries {
					entries[i] = fmt.Appendf(nil, "writer %d entry %d", w, c*each+i)
				}
				if _, err := engine.Append(e.ctx, entries); err != nil {
					e.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	cp := e.mustAwait(2*calls*each - 1)
	e.checkRoot(cp)
	e.mustSize(2 * calls * each)
	next := [2]int{}
	for i := range uint64(2 * calls * each) {
		entry, err := e.Entry(e.ctx, i)
		var w, n int
		if _, failed := fmt.Sscanf(string(entry), "writer %d entry %d", &w, &n); err != nil || failed != nil || n != next[w&1] {
			e.Fatalf("entry %d is %q, %v, want number %d of a writer", i, entry, err, next)
		}
		next[w&1]++
	}
	if err := second.Close(e.ctx); err != nil {
		e.Errorf("Close of the second writer: %v", err)
	}
}

// fullStorage appends until the storage is full. What was acknowledged is there, and when there is room again, the log
// goes on, opened again or not.
func (e *engineTest) fullStorage() {
	total := 300
	e.mustAppend(numbered(0, total))
	cp := e.continues(nil, total)
	release := e.in.Fill(e.TB)
	defer release()
	refused := false
	for range 512 {
		ctx, cancel := context.WithTimeout(e.ctx, time.Second)
		_, err := e.Append(ctx, numbered(total, 60))
		cancel()
		if refused = err != nil; refused {
			break
		}
		total += 60
	}
	if !refused {
		e.Fatalf("full storage took %d entries", total)
	}
	release()
	size, err := e.Size(e.ctx)
	if err != nil {
		size = e.openAgain(err)
	}
	if size < uint64(total) || size > uint64(total+60) { //nolint:gosec // counts
		e.Fatalf("Size = %d after %d entries were acknowledged and 60 refused", size, total)
	}
	e.mustHave(int(size))                                               //nolint:gosec // a count
	if _, err := e.Append(e.ctx, numbered(int(size), 60)); err != nil { //nolint:gosec // a count
		if again := e.openAgain(err); again != size {
			e.Fatalf("Size = %d, want %d", again, size)
		}
		e.mustAppend(numbered(int(size), 60)) //nolint:gosec // a count
	}
	e.mustHave(int(size) + 60)    //nolint:gosec // a count
	e.continues(cp, int(size)+60) //nolint:gosec // a count
}

// openAgain opens the log anew, because it could not go on, and returns its size.
func (e *engineTest) openAgain(cause error) uint64 {
	e.Helper()
	e.Logf("opened again, because of: %v", cause)
	closing, cancel := context.WithTimeout(e.ctx, time.Second)
	defer cancel()
	_ = e.Close(closing) // it may fail for the same reason
	e.open()
	size, err := e.Size(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	return size
}

// clockSetBack goes on with a log that comes from the future, closed and open.
func (e *engineTest) clockSetBack() {
	e.mustAppend(numbered(0, 10))
	cp := e.continues(nil, 10)
	e.in.SetBack(e.TB)
	e.mustAppend(numbered(10, 10))
	cp = e.continues(cp, 20)
	e.mustClose()
	e.in.SetBack(e.TB)
	e.open()
	e.mustHave(20)
	e.mustAppend(numbered(20, 10))
	e.continues(cp, 30)
	e.mustHave(30)
}
