// Package witness cosigns the checkpoints of transparency logs, and collects
// cosignatures for them (C2SP tlog-witness, tlog-cosignature). A witness that
// signs for one tree of a log never signs for another one that contradicts it, so
// that a log cannot show different trees to those who ask for its cosignature.
//
// Who runs a witness makes its state once with [Create], opens it with [Open],
// and serves it: a [Witness] is an http.Handler. Who runs a log has a
// [Publisher] fetch cosignatures beside it: the log's own checkpoint does not
// wait for witnesses, and the cosigned one is published when the policy's quorum
// is there, and only then.
//
// What is sent and checked is in spec/witness.md.
package witness
