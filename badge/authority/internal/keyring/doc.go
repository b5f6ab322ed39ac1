// Package keyring has the keys with which an authority signs badges. [Open] a [Ring] for the private halves, which are
// files here and whatever else is a [Source] elsewhere; make a [Set] of the states that the nodes of an authority
// share to see which key signs now, and which are published.
//
// A key goes one way: made, published, signing, retired (published for as long as something it signed is believed),
// gone. A key that was withdrawn is gone at once (spec/issuance.md, "Keys of an authority").
package keyring
