// Package campaign has the tests that kill everything: the programs of Trillian, its database, and the process that
// has journal and log, under 256 writers and again and again, and then tamper with what is left. It has no code of its own.
package campaign
