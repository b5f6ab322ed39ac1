package trillianlog

import (
	"context"

	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

var (
	Identity       = identity
	ParseRoot      = parseRoot
	NoRootDuration = noRootDuration
)

// StateMask is what changes the state of a tree alone.
func StateMask() *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: []string{"tree_state"}} }

// HaltState leaves a mark in the state of a log.
func HaltState(ctx context.Context, cfg *Config, mark []byte) error {
	return cfg.stateOf().Halt(ctx, nil, mark)
}

// FileState is the state in a file.
func FileState(path string) State { return &fileState{path: path} }
