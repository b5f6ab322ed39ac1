// Package rfc006 reads the evidence that the published tools of the CapiscIO protocol write (RFC-006 section 7): a JSON
// object on each line. Use a [Reader].
//
// These records are neither signed nor chained. What can be verified is their form, and what one says about another;
// [Accepted] means no more. Who wrote a record, whether it was changed, and what is missing, nobody can tell from it.
package rfc006
