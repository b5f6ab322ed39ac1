package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by the linker in releases; otherwise the build says it.
var version string

// A buildVersion says what this program was made of.
type buildVersion struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func readVersion() buildVersion {
	v := buildVersion{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "version, commit and Go version",
		Action: func(ctx *cli.Context) error {
			if err := wantArgs(ctx); err != nil {
				return err
			}
			v := readVersion()
			text := fmt.Sprintf("touchmark %s", v.Version)
			if v.Commit != "" {
				text += " commit " + v.Commit
			}
			return consoleOf(ctx).result(v, fmt.Sprintf("%s %s %s/%s", text, v.Go, v.OS, v.Arch))
		},
	}
}
