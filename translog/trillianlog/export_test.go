package trillianlog

import "google.golang.org/protobuf/types/known/fieldmaskpb"

var (
	Identity       = identity
	ParseRoot      = parseRoot
	NoRootDuration = noRootDuration
)

// StateMask is what changes the state of a tree alone.
func StateMask() *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: []string{"tree_state"}} }
