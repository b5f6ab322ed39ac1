package pop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jws"
)

func TestTimes(t *testing.T) {
	tests := []struct {
		name string
		now  time.Duration // after the proof was signed, for 30 s
		cfg  func(*scene)
		code Code
	}{
		{"at once", 0, nil, ""},
		{"clock 10 s ahead", -10 * time.Second, nil, ""},
		{"clock 11 s ahead", -11 * time.Second, nil, CodeNotYetValid},
		{"last second", 39 * time.Second, nil, ""},
		{"expired", 40 * time.Second, nil, CodeExpired},
		{"no tolerance, ahead", -1 * time.Second, func(s *scene) { s.cfg.Skew = -1 }, CodeNotYetValid},
		{"no tolerance, expired", 30 * time.Second, func(s *scene) { s.cfg.Skew = -1 }, CodeExpired},
		{"most tolerance", 89 * time.Second, func(s *scene) { s.cfg.Skew = time.Minute }, ""},
		{"signed after the badge", 0, func(s *scene) { s.seen.BadgeExpires = start }, CodeExpired},
		{"signed just before the end of the badge", 0, func(s *scene) { s.seen.BadgeExpires = start.Add(time.Second) }, ""},
		{"server started since", 20 * time.Second, func(s *scene) { s.cfg.Started = start.Add(11 * time.Second) }, CodeExpired},
		{"server started about then", 20 * time.Second, func(s *scene) { s.cfg.Started = start.Add(10 * time.Second) }, ""},
		{"narrow window", 0, func(s *scene) { s.cfg.Window = 20 * time.Second }, CodeClaimsInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene()
			proof := s.sign(t)
			s.cfg.Started = start
			s.cfg.Time = clock(start.Add(test.now))
			if test.cfg != nil {
				test.cfg(s)
			}
			if _, err := s.verify(t, proof); CodeOf(err) != test.code || (err != nil) != (test.code != "") {
				t.Fatalf("got %v, want %q", err, test.code)
			}
		})
	}
}

// A verifier refuses by itself what was signed before it was made.
func TestStartedDefaultsToNow(t *testing.T) {
	s := newScene()
	proof := s.sign(t)
	s.cfg.Time = clock(start.Add(11 * time.Second))
	s.refused(t, proof, CodeExpired, "iat")
}

func TestMalformed(t *testing.T) {
	s := newScene()
	proof := s.sign(t)
	parts := strings.Split(proof, ".")
	payload := []byte(`{"iss":"a"}`)
	header := func(h jws.Header) string {
		token, err := jws.Sign(h, payload, s.key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	tests := map[string]string{
		"not a JWS":           "capiscio",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          proof + "." + parts[2],
		"space":               proof + " ",
		"line break":          parts[0] + ".\n" + parts[1] + "." + parts[2],
		"padding":             parts[0] + "." + parts[1] + "=." + parts[2],
		"badge":               header(jws.Header{Typ: "JWT"}),
		"typ in other case":   header(jws.Header{Typ: "Capiscio.hop+jwt"}),
		"payload not JSON":    s.signPayload(t, []byte("hello")),
		"payload an array":    s.signPayload(t, []byte("[]")),
		"claim given twice":   s.signPayload(t, []byte(`{"hop_id":"a","hop_id":"b"}`)),
		"text after":          s.signPayload(t, []byte(`{"hop_id":"a"} {}`)),
		"not UTF-8":           s.signPayload(t, []byte("{\"hop_id\":\"\xff\"}")),
		"longer than allowed": s.signPayload(t, []byte(`{"hop_id":"`+strings.Repeat("a", MaxProofBytes)+`"}`)),
	}
	for name, proof := range tests {
		t.Run(name, func(t *testing.T) { newScene().refused(t, proof, CodeMalformed, "") })
	}
	t.Run("missing", func(t *testing.T) { newScene().refused(t, "", CodeMissing, "") })
}

// What was signed by anything but the badge's key is refused: that is all that a thief of a badge can do.
func TestSignature(t *testing.T) {
	s := newScene()
	thief := newScene()
	thief.key = newKey("thief")
	s.refused(t, thief.sign(t), CodeSignatureInvalid, "")

	m, err := jws.Parse(s.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	other, err := jws.Parse(s.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	swapped := m.Token()[:strings.LastIndex(m.Token(), ".")] + other.Token()[strings.LastIndex(other.Token(), "."):]
	s.refused(t, swapped, CodeSignatureInvalid, "")
}

// Every changed byte of a proof is noticed.
func TestMangled(t *testing.T) {
	s := newScene()
	proof := s.sign(t)
	for i := range proof {
		for _, c := range []byte{proof[i] + 1, proof[i] ^ 0x20} {
			mangled := proof[:i] + string(rune(c)) + proof[i+1:]
			if _, err := s.verify(t, mangled); err == nil {
				t.Fatalf("byte %d changed from %q to %q: accepted", i, proof[i], c)
			}
		}
		if _, err := s.verify(t, proof[:i]); err == nil {
			t.Fatalf("cut after %d bytes: accepted", i)
		}
	}
	if s.replay.Len() != 0 {
		t.Error("a mangled proof was remembered")
	}
}

// A proof is for the call that is executed: any other method, target or parameter is refused.
func TestOtherCalls(t *testing.T) {
	calls := map[string]struct {
		call Call
		code Code
	}{
		"method":           {Call{Method: "prompts/get", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x"}`)}, CodeTargetMismatch},
		"target":           {Call{Method: "tools/call", Target: "write_file", Arguments: json.RawMessage(`{"path":"/tmp/x"}`)}, CodeParamsMismatch},
		"argument":         {Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/y"}`)}, CodeParamsMismatch},
		"no arguments":     {Call{Method: "tools/call", Target: "read_file"}, CodeParamsMismatch},
		"further argument": {Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x","a":null}`)}, CodeParamsMismatch},
		"input responses": {Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x"}`),
			InputResponses: json.RawMessage(`{"approval":{}}`)}, CodeParamsMismatch},
		"arguments as input responses": {Call{Method: "tools/call", Target: "read_file", InputResponses: json.RawMessage(`{"path":"/tmp/x"}`)}, CodeParamsMismatch},
		"no canonical form":            {Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":9007199254740993}`)}, CodeParamsMismatch},
		"given twice":                  {Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x","path":"/tmp/x"}`)}, CodeParamsMismatch},
	}
	for name, test := range calls {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			proof := s.sign(t)
			s.seen.Call = &test.call
			_, err := s.verify(t, proof)
			if CodeOf(err) != test.code {
				t.Fatalf("got %v, want %s", err, test.code)
			}
		})
	}
	t.Run("same by RFC 8785", func(t *testing.T) {
		s := newScene()
		proof := s.sign(t)
		s.seen.Call = &Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage("{ \"p\\u0061th\" : \"\\/tmp/x\" }"), InputResponses: json.RawMessage("null")}
		if _, err := s.verify(t, proof); err != nil {
			t.Fatal(err)
		}
	})
}
