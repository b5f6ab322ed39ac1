//go:build race

package badge_test

const raceEnabled = true // the race detector allocates on its own account
