package serververify

import (
	"context"
	"errors"
	"fmt"
)

// An Admission decides on a server that is verified otherwise: by a file of
// pins, or a list of approved servers. It is asked in each verification, before
// anything is sent to the server, and again whenever the server is verified
// again, so that what it knows may change meanwhile.
type Admission interface {
	// Admit returns nil for a server that may be used, an [*UntrustedError] made
	// by [Server.Refuse] for one that may not, and another error when it cannot
	// tell; s is not to be kept.
	Admit(ctx context.Context, s *Server) error
}

// Refuse returns the refusal of s, whose badge was found good. The arguments
// are those of [fmt.Errorf]: an error that %w wraps is found in the result.
func (s *Server) Refuse(code Code, format string, args ...any) *UntrustedError {
	cause := fmt.Errorf(format, args...)
	return &UntrustedError{
		Code: code, State: StateDeclared, Reason: cause.Error(), DID: s.DID,
		BadgeValid: true, BadgeID: s.BadgeID, Level: s.Level, PublishedProof: s.PublishedProof,
		err: errors.Unwrap(cause),
	}
}

// admit asks the admissions in order.
func (v *Verifier) admit(ctx context.Context, s *Server) error {
	for _, a := range v.cfg.Admit {
		err := a.Admit(ctx, s)
		var refused *UntrustedError
		var open *UndeterminedError
		switch {
		case err == nil:
		case errors.As(err, &refused):
			return refused
		case errors.As(err, &open):
			return open
		default:
			return &UndeterminedError{Reason: err.Error(), DID: s.DID, err: err}
		}
	}
	return nil
}
