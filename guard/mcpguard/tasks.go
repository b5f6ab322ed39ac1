package mcpguard

import (
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// What an adapter keeps of tasks.
const (
	// MaxTasks is how many tasks an [Adapter] knows at once. Those beyond it belong to nobody.
	MaxTasks = 1 << 16
	// MaxTasksPerCaller is how many of them may be one caller's. Another one takes the place of its oldest.
	MaxTasksPerCaller = 1 << 10
	// MaxTaskAge is for how long a task is known, if the server does not say that it is gone before.
	MaxTaskAge = 24 * time.Hour
	// maxTaskIDBytes bounds what is kept of one. A task with a longer id belongs to nobody.
	maxTaskIDBytes = guard.MaxNameBytes
)

// tasks says whose tasks are (spec/guard.md section 2.4).
type tasks struct {
	now func() time.Time

	mu      sync.Mutex
	byID    map[string]*task
	callers map[string]*taskQueue
}

// A task is what is known of one. Its owner is "" if two callers were given one of this id.
type task struct {
	id      string
	owner   string // the key of a principal
	from    guard.Capability
	expires time.Time
}

// A taskQueue has the tasks of one caller, the oldest first.
type taskQueue struct{ tasks []*task }

func newTasks(now func() time.Time) *tasks {
	return &tasks{now: now, byID: make(map[string]*task), callers: make(map[string]*taskQueue)}
}

// add notes that a task came from the use of a capability. It returns false if there is no place for it.
func (ts *tasks) add(id, owner string, from guard.Capability, ttl time.Duration) bool {
	if id == "" || len(id) > maxTaskIDBytes {
		return false
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	now := ts.now()
	if ttl <= 0 || ttl > MaxTaskAge {
		ttl = MaxTaskAge
	}
	if t := ts.live(id, now); t != nil {
		t.expires = now.Add(ttl)
		if t.owner != owner || t.from != from {
			t.owner = "" // whose it is cannot be told
			return false
		}
		return true
	}
	q := ts.callers[owner]
	if q != nil {
		ts.trim(q, now)
	}
	if len(ts.byID) >= MaxTasks && !ts.sweep(now) {
		return false
	}
	if q = ts.callers[owner]; q == nil {
		q = &taskQueue{}
		ts.callers[owner] = q
	}
	t := &task{id: id, owner: owner, from: from, expires: now.Add(ttl)}
	ts.byID[id], q.tasks = t, append(q.tasks, t)
	return true
}

// live returns the task of an id unless it has expired.
func (ts *tasks) live(id string, now time.Time) *task {
	t := ts.byID[id]
	if t == nil || !now.Before(t.expires) {
		return nil
	}
	return t
}

// trim makes place for one more task of a caller.
func (ts *tasks) trim(q *taskQueue, now time.Time) {
	kept := q.tasks[:0]
	for _, t := range q.tasks {
		if now.Before(t.expires) {
			kept = append(kept, t)
		} else {
			ts.forget(t)
		}
	}
	for len(kept) >= MaxTasksPerCaller {
		ts.forget(kept[0])
		kept = kept[1:]
	}
	q.tasks = append([]*task(nil), kept...)
}

func (ts *tasks) forget(t *task) {
	if ts.byID[t.id] == t {
		delete(ts.byID, t.id)
	}
}

// sweep forgets what has expired, and reports whether there is a place now.
func (ts *tasks) sweep(now time.Time) bool {
	for owner, q := range ts.callers {
		live := q.tasks[:0]
		for _, t := range q.tasks {
			if now.Before(t.expires) {
				live = append(live, t)
			} else {
				ts.forget(t)
			}
		}
		if q.tasks = live; len(live) == 0 {
			delete(ts.callers, owner)
		}
	}
	return len(ts.byID) < MaxTasks
}

// of returns what a task of this caller came from.
func (ts *tasks) of(caller *guard.Principal, id string) (guard.Capability, bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.live(id, ts.now())
	if t == nil || t.owner == "" || t.owner != caller.Key() {
		return guard.Capability{}, false
	}
	return t.from, true
}

// taskIn returns the id of the task that a result announces, in the form of either generation, and for how long the
// server keeps it. The SDK has no results of this sort: those that it has are none.
func taskIn(res mcp.Result, octets []byte) (id string, ttl time.Duration, ok bool) {
	switch res.(type) {
	case nil, *mcp.CallToolResult, *mcp.GetPromptResult, *mcp.ReadResourceResult, *mcp.CompleteResult:
		return "", 0, false
	}
	type form struct {
		TaskID string `json:"taskId"`
		TTL    *int64 `json:"ttl"`   // up to 2025-11-25, of task
		TTLMS  *int64 `json:"ttlMs"` // of the extension, beside taskId
	}
	var r struct {
		Type string `json:"resultType"`
		form
		Task *form `json:"task"`
	}
	if strictjson.Unmarshal(octets, &r) != nil {
		return "", 0, false
	}
	f := &r.form
	if r.Task != nil {
		f = r.Task
	} else if r.Type != "task" {
		return "", 0, false
	}
	for _, ms := range []*int64{f.TTL, f.TTLMS} {
		if ms != nil && *ms > 0 && *ms < MaxTaskAge.Milliseconds() {
			ttl = time.Duration(*ms) * time.Millisecond
		}
	}
	return f.TaskID, ttl, f.TaskID != ""
}

// errNoTask is what everybody is told of a task that does not exist, and of one that is not the caller's.
var errNoTask = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "task not found"}
