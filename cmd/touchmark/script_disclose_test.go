package main

import (
	"encoding/json"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// tamper replaces what a file has once, and writes another: tamper FILE REGEXP WITH OUT
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: tamper FILE REGEXP WITH OUT")
	}
	re := regexp.MustCompile("(?m)" + args[1])
	text := ts.ReadFile(args[0])
	if n := len(re.FindAllString(text, -1)); n != 1 {
		ts.Fatalf("%s has %d of %s", args[0], n, args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(re.ReplaceAllLiteralString(text, args[2])), 0o600))
}

// graft puts another entry into a disclosure file: graft FILE ENTRY OUT
func graft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: graft FILE ENTRY OUT")
	}
	var file map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &file))
	file["entry"] = json.RawMessage(ts.ReadFile(args[1]))
	text, err := json.Marshal(file)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), text, 0o600))
}
