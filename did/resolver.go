package did

import (
	"context"
	"fmt"
)

// A Resolver finds the document of a DID.
//
// An error is a *[ResolveError] when the document could not be had, and a
// *[ParseError] or *[DocumentError] when something was examined and refused.
// Callers check that the document is the one they asked for.
type Resolver interface {
	Resolve(ctx context.Context, d DID) (*Document, error)
}

// ResolveError reports that a document could not be obtained. It is no verdict
// about the DID: the answer is undetermined.
type ResolveError struct {
	DID    DID
	Reason string
	err    error
}

func (e *ResolveError) Error() string {
	return fmt.Sprintf("did: document of %q could not be obtained: %s", e.DID.text, e.Reason)
}

// Unwrap returns the cause, which may be nil.
func (e *ResolveError) Unwrap() error { return e.err }

// A StaticResolver holds documents given beforehand. It answers for them and
// for every did:key, and for nothing else.
type StaticResolver map[DID]*Document

// Resolve implements [Resolver].
func (s StaticResolver) Resolve(_ context.Context, d DID) (*Document, error) {
	if d.Method() == MethodKey {
		return keyDocument(d)
	}
	doc, ok := s[d]
	switch {
	case !ok || doc == nil:
		return nil, &ResolveError{DID: d, Reason: "not among the documents given"}
	case doc.ID != d:
		return nil, &DocumentError{DID: d, Reason: fmt.Sprintf("it is the document of %q", doc.ID.text)}
	}
	return doc.clone(), nil
}
