// Package testvectors embeds the test vectors of Touchmark's formats, one JSON
// file each, one defect per refused vector, one directory per area:
//
//	data, err := testvectors.FS.ReadFile("log/checkpoint-valid.json")
//
// They are made by internal/vectorgen and are the same on every run. Other
// implementations may import this package or copy the files.
package testvectors

import "embed"

// FS holds the vectors, as AREA/NAME.json.
//
//go:embed */*.json
var FS embed.FS
