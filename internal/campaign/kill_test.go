//go:build linux

package campaign

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// rounds is how often TestKilled kills on both engines together. 0 means 7, or 200 in a soak.
var rounds = flag.Int("touchmark.rounds", 0, "how often TestKilled kills (default 7, in a soak 200)")

// TestKilled kills with SIGKILL, in turn, what an engine consists of, while 256 callers call a guard whose evidence goes into the log. After each round
// every record that was acknowledged is in the log once and at its place, the log has not forked, and a monitor that follows log and
// journal finds nothing. Of seven rounds, five are on Trillian. After a soak somebody tampers with what it left.
func TestKilled(t *testing.T) {
	n := *rounds
	if n == 0 {
		n = 7
		if os.Getenv("TOUCHMARK_SOAK") != "" {
			n = 200
		}
	}
	t.Run("Trillian", func(t *testing.T) {
		w := onTrillian(t)
		run(w, (n*5+6)/7, []victim{
			{"server", func(c *campaign) { c.killProgram(w.trillian.Server()) }},
			{"signer", func(c *campaign) { c.killProgram(w.trillian.Signer()) }},
			{"database", (*campaign).killDatabase},
			{"writer", (*campaign).killWriter},
			{"shipper", (*campaign).killShipper},
		})
	})
	t.Run("Embedded", func(t *testing.T) {
		run(embedded(t), n*2/7, []victim{{"writer", (*campaign).killWriter}, {"shipper", (*campaign).killShipper}})
	})
}

// A victim is what is killed.
type victim struct {
	name string
	kill func(*campaign)
}

// A campaign kills in a world.
type campaign struct {
	*world
	ctx  context.Context
	rand *rand.Rand

	cmd    *exec.Cmd // the process with the writers
	stdin  io.WriteCloser
	events chan string // what it says beside acknowledgements
	output *bytes.Buffer

	mu      sync.Mutex
	acked   map[string]uint64 // sequence numbers by id, since the last check
	refused map[string]int

	client  *tlogclient.Client
	monitor *monitor.Monitor
	last    *translog.Checkpoint
	places  map[string]uint64 // of every record in the log, by id
	next    uint64            // index of the entry to read next
	total   int               // acknowledged
}

func run(w *world, rounds int, victims []victim) {
	t := w.t
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	c := &campaign{
		world: w, ctx: ctx, rand: rand.New(rand.NewPCG(6, uint64(rounds))), acked: make(map[string]uint64), refused: make(map[string]int),
		places: make(map[string]uint64), client: tlogclient.New(tlogclient.Dir(w.path("log")), w.policy()),
	}
	var err error
	if c.monitor, err = monitor.Open(w.monitorConfig(w.path("monitor"))); err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // where the test failed before its end
	began := time.Now()
	took := make(map[string]time.Duration)
	for round := range rounds {
		v := victims[round%len(victims)]
		from := time.Now()
		c.say("go")
		c.await("acknowledgements", func() bool { return c.count() >= writers })
		c.pause(200 * time.Millisecond)
		v.kill(c)
		c.settle(round, v.name)
		took[v.name] += time.Since(from)
		if n := round + 1; n%10 == 0 {
			t.Logf("%d rounds, %v, %d entries", n, time.Since(began).Round(time.Second), c.next)
		}
		if t.Failed() {
			return
		}
	}
	c.end()
	if err := c.monitor.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rounds in %v (%v): %d records acknowledged, %d in the log, refused in the meantime: %v",
		rounds, time.Since(began).Round(time.Second), took, c.total, c.next, c.refused)
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		tamper(w) // TestTampering does so to smaller logs
	}
}

// start starts the process and waits until it has opened journal and log.
func (c *campaign) start() {
	text, err := json.Marshal(c.world)
	if err != nil {
		c.t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestProcess$", "-test.count=1", "-test.timeout=0")
	c.cmd.Env = append(os.Environ(), childVar+"="+string(text))
	c.output = new(bytes.Buffer)
	c.cmd.Stderr = c.output
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.events = make(chan string, 64)
	go c.listen(out, c.events)
	c.wait("open")
}

// listen notes what a process says, until it ends.
func (c *campaign) listen(out io.Reader, events chan<- string) {
	defer close(events)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text := lines.Text()
		var id string
		var seq uint64
		if _, err := fmt.Sscanf(text, "ack %s %d", &id, &seq); err == nil {
			c.mu.Lock()
			c.acked[id] = seq
			c.mu.Unlock()
		} else if word, _, _ := strings.Cut(text, " "); word == "refused" || word == "unfinished" {
			c.mu.Lock()
			c.refused[text]++
			c.mu.Unlock()
		} else {
			events <- text
		}
	}
}

func (c *campaign) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

func (c *campaign) say(word string) {
	if _, err := fmt.Fprintln(c.stdin, word); err != nil {
		c.t.Fatalf("%s: %v", word, err)
	}
}

// wait returns the rest of the line that begins with a word.
func (c *campaign) wait(word string) string {
	for {
		select {
		case text, ok := <-c.events:
			if !ok {
				c.t.Fatalf("waiting for %q: the process ended: %v\n%s", word, c.cmd.Wait(), c.output.Bytes())
			}
			if rest, ok := strings.CutPrefix(text, word); ok {
				return strings.TrimSpace(rest)
			}
			if text != "" && text != "shipping" && text != "held" {
				c.t.Logf("the process says: %s", text)
			}
		case <-time.After(patience):
			_ = c.cmd.Process.Kill() // it hangs
			c.t.Fatalf("waiting for %q for %v", word, patience)
		}
	}
}

func (c *campaign) await(what string, done func() bool) {
	for began := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			c.t.Fatalf("waiting for %s for %v", what, patience)
		}
	}
}

func (c *campaign) pause(most time.Duration) { time.Sleep(time.Duration(c.rand.Int64N(int64(most)))) }

func (c *campaign) killProgram(name string) {
	c.trillian.Kill(name)
	c.pause(100 * time.Millisecond)
	c.trillian.Run(name)
	c.pause(100 * time.Millisecond)
}

func (c *campaign) killDatabase() {
	c.database.Kill()
	c.pause(100 * time.Millisecond)
	c.database.Run()
	c.pause(100 * time.Millisecond)
}

// killWriter kills the process with journal and log while it takes calls.
func (c *campaign) killWriter() {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	for range c.events {     // all that it said is noted when this ends
	}
	_ = c.cmd.Wait() // killed
	c.start()
}

// killShipper holds the log back until there is a backlog, and kills the process while it ships that.
func (c *campaign) killShipper() {
	c.say("hold")
	c.wait("held")
	n := c.count()
	c.await("a backlog", func() bool { return c.count() >= n+4*writers })
	c.say("release")
	c.wait("shipping")
	c.pause(20 * time.Millisecond)
	c.killWriter()
}

// settle ends a round: the callers stop, what waits is shipped and published, and everything is looked at.
func (c *campaign) settle(round int, what string) {
	c.say("stop")
	var records uint64
	if _, err := fmt.Sscan(c.wait("stopped"), &records); err != nil {
		c.t.Fatal(err)
	}
	var cp *translog.Checkpoint
	c.await("a checkpoint", func() bool {
		var err error
		cp, err = c.client.Checkpoint(c.ctx)
		return err == nil && cp.Size() >= records
	})
	if cp.Size() != records {
		c.t.Errorf("round %d, %s: the log has %d entries, the journal %d", round, what, cp.Size(), records)
	}
	if c.last != nil && c.last.Size() > 0 {
		if _, err := c.client.Consistency(c.ctx, c.last, cp); err != nil {
			c.t.Errorf("round %d, %s: %v", round, what, err)
		}
	}
	c.last = cp
	c.readLog(cp)
	c.mu.Lock()
	for id, seq := range c.acked {
		if index, ok := c.places[id]; !ok || index != seq {
			c.t.Errorf("round %d, %s: record %s was acknowledged as %d, and is in the log: %v, at %d", round, what, id, seq, ok, index)
		}
	}
	c.total += len(c.acked)
	clear(c.acked)
	c.mu.Unlock()
	report, err := c.monitor.Look(c.ctx)
	if err != nil || len(report.Faults) > 0 || report.Size != records || report.Waiting > 0 {
		c.t.Errorf("round %d, %s: the monitor found %+v, %v", round, what, report, err)
	}
}

// readLog notes the place of each record that is new.
func (c *campaign) readLog(cp *translog.Checkpoint) {
	err := c.client.Scan(c.ctx, cp, c.next, func(index uint64, entry []byte) error {
		e, err := evidence.ParseEntry(entry)
		if err != nil {
			return err
		}
		if at, ok := c.places[e.Record.ID]; ok {
			return fmt.Errorf("record %s is in the log at %d and at %d", e.Record.ID, at, index)
		}
		c.places[e.Record.ID] = index
		c.next = index + 1
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
}

// end lets the process end by itself.
func (c *campaign) end() {
	if err := c.stdin.Close(); err != nil {
		c.t.Fatal(err)
	}
	for range c.events { // the rest
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("the process: %v\n%s", err, c.output.Bytes())
	}
}
