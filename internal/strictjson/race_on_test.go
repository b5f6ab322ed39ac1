//go:build race

package strictjson_test

const raceEnabled = true // the race detector makes pools forget, so that they allocate
