package domain

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestDNS01(t *testing.T) {
	dns, resolver := newDNS(t)
	v, err := New(&Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	other := Content(NewToken(), testPrint)
	record := func(parts ...string) answer { return answer{typ: typeTXT, data: txt(parts...)} }
	for _, c := range []struct {
		name    string
		answers []answer
		code    Code
	}{
		{"alone.acme.com", []answer{record(testContent)}, ""},
		{"split.acme.com", []answer{record(testContent[:1], testContent[1:60], "", testContent[60:])}, ""},
		{"several.acme.com", []answer{record("v=spf1 -all"), record(other), record(testContent), record("")}, ""},
		{"same.acme.com", []answer{record(testContent), record(testContent)}, ""},
		{"others.acme.com", []answer{record("v=spf1 -all"), record(other)}, CodeChallengeMismatch},
		{"halves.acme.com", []answer{record(testContent[:40]), record(testContent[40:])}, CodeChallengeMismatch},
		{"suffix.acme.com", []answer{record(testContent + "x")}, CodeChallengeMismatch},
		{"suffixpart.acme.com", []answer{record(testContent, "x")}, CodeChallengeMismatch},
		{"newline.acme.com", []answer{record(testContent + "\n")}, CodeChallengeMismatch},
		{"quoted.acme.com", []answer{record(`"` + testContent + `"`)}, CodeChallengeMismatch},
		{"lower.acme.com", []answer{record(strings.ToLower(testContent))}, CodeChallengeMismatch},
		{"space.acme.com", []answer{record(testContent[:40], " ", testContent[40:])}, CodeChallengeMismatch},
		{"blank.acme.com", []answer{record("")}, CodeChallengeMismatch},
		{"empty.acme.com", []answer{}, CodeChallengeDNSNotFound},
		{"none.acme.com", nil, CodeChallengeDNSNotFound},
	} {
		if c.answers != nil {
			full := Record(c.name) + "."
			for i := range c.answers {
				c.answers[i].name = full
			}
			dns.add(typeTXT, full, c.answers...)
		}
		if err := v.DNS01(t.Context(), c.name, testContent); CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
}

// The name itself, other names below it and other types of record say nothing.
func TestDNS01OnlyTheRecord(t *testing.T) {
	dns, resolver := newDNS(t)
	v, err := New(&Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"api.acme.com.", "acme.com.", "_capiscio-challenge.acme.com.", "_acme-challenge.api.acme.com.", "_capiscio-challenge.api.acme.com.evil.com."} {
		dns.add(typeTXT, name, answer{name, typeTXT, txt(testContent)})
	}
	wantCode(t, v.DNS01(t.Context(), testDomain, testContent), CodeChallengeDNSNotFound, false)
}

// RFC-002 section 7.3.2: a CNAME to a zone that somebody else runs is a delegation by the domain's owner.
func TestDNS01Delegated(t *testing.T) {
	dns, resolver := newDNS(t)
	v, err := New(&Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	name := Record(testDomain) + "."
	dns.add(typeTXT, name, answer{name, typeCNAME, wireName("dva-1.dv.acme.net.")}, answer{"dva-1.dv.acme.net.", typeTXT, txt(testContent)})
	if err := v.DNS01(t.Context(), testDomain, testContent); err != nil {
		t.Error(err)
	}
}

func TestDNS01Failures(t *testing.T) {
	dns, resolver := newDNS(t)
	v, err := New(&Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	dns.mu.Lock()
	dns.rcode = 2 // SERVFAIL, which is also what a DNSSEC validator answers for a forged record
	dns.mu.Unlock()
	wantCode(t, v.DNS01(t.Context(), testDomain, testContent), CodeChallengeDNSFailed, true)

	for _, c := range []struct {
		records      []string
		err          error
		code         Code
		undetermined bool
	}{
		{nil, nil, CodeChallengeDNSNotFound, false},
		{slices.Repeat([]string{testContent}, maxRecords+1), nil, CodeChallengeTooLarge, false},
		{nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}, CodeChallengeTimeout, true},
		{nil, &net.DNSError{Err: "no such host", IsNotFound: true}, CodeChallengeDNSNotFound, false},
		{[]string{testContent}, &net.DNSError{Err: "cut short"}, CodeChallengeDNSFailed, true},
		{nil, errors.New("broken"), CodeChallengeDNSFailed, true},
	} {
		v, err := New(&Config{Resolver: names{txt: func(name string) ([]string, error) {
			if name != "_capiscio-challenge.api.acme.com." {
				t.Errorf("asked for %q", name)
			}
			return c.records, c.err
		}}})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, v.DNS01(t.Context(), testDomain, testContent), c.code, c.undetermined)
	}
}

// A name that leaves no room for the label is told so, instead of being asked for cut short.
func TestDNS01LongName(t *testing.T) {
	v, err := New(&Config{Resolver: names{txt: func(string) ([]string, error) { return []string{testContent}, nil }}})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a.", 115) + "com" // 233 bytes
	if err := v.DNS01(t.Context(), long, testContent); err != nil {
		t.Error(err)
	}
	wantCode(t, v.DNS01(t.Context(), "a."+long, testContent), CodeDomainTooLong, false)
}
