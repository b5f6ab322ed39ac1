package explorer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/peers"
)

// patience is how long a browser on a busy machine may take for one thing.
const patience = 2 * time.Minute

// A tab is a page in a headless Chromium, driven by its DevTools protocol over a pipe.
type tab struct {
	t       *testing.T
	in      io.Writer
	session string
	next    int

	mu      sync.Mutex
	answers map[int]chan message
	events  []message
}

type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// openTab starts a browser of its own for the test.
func openTab(t *testing.T) *tab {
	t.Helper()
	program := peers.Chromium(t)
	profile, err := os.MkdirTemp("", "explorer")
	if err != nil {
		t.Fatal(err)
	}
	read, chromeOut := pipe(t)
	chromeIn, write := pipe(t)
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{chromeIn, chromeOut} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	chromeIn.Close()
	chromeOut.Close()
	p := &tab{t: t, in: write, answers: make(map[int]chan message)}
	done := make(chan struct{})
	go func() { defer close(done); p.listen(read) }()
	t.Cleanup(func() {
		fmt.Fprintf(write, `{"id":%d,"method":"Browser.close"}`+"\x00", p.next+1)
		stop := time.AfterFunc(patience, func() { cmd.Process.Kill(); read.Close() })
		<-done
		cmd.Wait() //nolint:errcheck // how a browser ends is no concern of the test
		stop.Stop()
		write.Close()
		read.Close()
		os.RemoveAll(profile) // its last children may still write: what is left is the system's to remove
	})
	p.attach()
	return p
}

func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return read, write
}

func (p *tab) attach() {
	p.t.Helper()
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "DOM", "Network"} {
		p.call(domain+".enable", nil, nil)
	}
}

// listen hands out answers and keeps events, until the browser ends.
func (p *tab) listen(from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		p.mu.Lock()
		if answer := p.answers[m.ID]; answer != nil {
			answer <- m
		} else {
			p.events = append(p.events, m)
		}
		p.mu.Unlock()
	}
}

// call calls a method of the protocol and puts its result into result unless that is nil.
func (p *tab) call(method string, params, result any) {
	p.t.Helper()
	if err := p.try(method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

// try is call for what the page may refuse, which is an error. Anything else ends the test.
func (p *tab) try(method string, params, result any) error {
	p.t.Helper()
	p.next++
	if params == nil {
		params = struct{}{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(message{ID: p.next, Method: method, SessionID: p.session, Params: raw})
	if err != nil {
		p.t.Fatal(err)
	}
	answer := make(chan message, 1)
	p.mu.Lock()
	p.answers[p.next] = answer
	p.mu.Unlock()
	if _, err := p.in.Write(append(text, 0)); err != nil {
		p.t.Fatal(err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				return fmt.Errorf("%s: %w", method, err)
			}
		}
	case <-time.After(patience):
		p.t.Fatalf("%s: no answer", method)
	}
	return nil
}

// evaluate runs a script in the page, waits for the promise that it may be, and reads its value.
func (p *tab) evaluate(script string, value any) {
	p.t.Helper()
	if err := p.tryEvaluate(script, value); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) tryEvaluate(script string, value any) error {
	p.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	if err := p.try("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &got); err != nil {
		return err
	}
	if got.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", script, got.ExceptionDetails)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(got.Result.Value, value)
}

// until waits for an expression to become true. While a page gives way to another one, nothing can be evaluated.
func (p *tab) until(expression string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var yes bool
		err := p.tryEvaluate("Boolean("+expression+")", &yes)
		if err == nil && yes {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("never: %s (%v)", expression, err)
		}
	}
}

func (p *tab) navigate(url string) {
	p.t.Helper()
	p.evaluate("globalThis.before = true", nil)
	p.call("Page.navigate", map[string]any{"url": url}, nil)
	p.until(`globalThis.before === undefined && document.readyState === "complete" && location.href === ` + quoteJS(p.t, []byte(url)))
}

func (p *tab) key(name string) {
	p.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": 13}
		if kind == "keyDown" {
			params["text"] = "\r"
		}
		p.call("Input.dispatchKeyEvent", params, nil)
	}
}

// choose gives a file to a file input.
func (p *tab) choose(id, file string) {
	p.t.Helper()
	var doc struct{ Root struct{ NodeID int } }
	p.call("DOM.getDocument", nil, &doc)
	var node struct{ NodeID int }
	p.call("DOM.querySelector", map[string]any{"nodeId": doc.Root.NodeID, "selector": "#" + id}, &node)
	p.call("DOM.setFileInputFiles", map[string]any{"nodeId": node.NodeID, "files": []string{file}}, nil)
}

// drop drops files beside the fields.
func (p *tab) drop(files map[string][]byte) {
	p.t.Helper()
	script := "{ const d = new DataTransfer();"
	for name, data := range files {
		script += fmt.Sprintf("d.items.add(new File([%s], %q));", quoteJS(p.t, data), name)
	}
	p.evaluate(script+` document.querySelector("h1").dispatchEvent(new DragEvent("drop", { dataTransfer: d, bubbles: true, cancelable: true })); }`, nil)
}

// wantQuiet checks that the page asked for nothing but itself, and that the browser had nothing to say about it.
func (p *tab) wantQuiet(own string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		var params struct{ Request struct{ URL string } }
		if e.Method == "Network.requestWillBeSent" && json.Unmarshal(e.Params, &params) == nil {
			if url := params.Request.URL; url != own && url != "data:," {
				p.t.Errorf("the page asked for %s", url)
			}
		}
		if slices.Contains([]string{"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}, e.Method) {
			p.t.Errorf("the browser says %s", e.Params)
		}
	}
}
