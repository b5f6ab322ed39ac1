// Package confirm waits until a record is in a log, for policies that demand it before anything runs: the constraints
// included_within_sec and cosigned_within_sec (spec/guard.md section 5.2).
//
// Use [Included] and [Cosigned] for the fields of these names of guard.Config:
//
//	cfg.Included, err = confirm.Included(&confirm.Config{Log: tlogclient.Dir(dir), Policy: policy})
//	cfg.Cosigned, err = confirm.Cosigned(&confirm.Config{Log: tlogclient.Dir(dir), Policy: policy, Urge: urge})
//
// Nobody is believed: a record is confirmed by a proof that its leaf is in the tree of a checkpoint that the policy
// accepts.
package confirm
