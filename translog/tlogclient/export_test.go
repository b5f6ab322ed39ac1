package tlogclient

import "net/http"

const MaxCompressed = maxCompressed

// Compressing takes all places for compressing, until it is released.
func Compressing(h http.Handler) (release func()) { return takeAll(h.(*handler).compressing) }

// Reading takes all places for reading files.
func Reading(h http.Handler) (release func()) { return takeAll(h.(*handler).reading) }

func takeAll(p places) (release func()) {
	n := 0
	for p.take() {
		n++
	}
	return func() {
		for range n {
			p.release()
		}
	}
}
