package main

import (
	"net/http"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/translog/explorer"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// verifyPath is where log serve has the page beside the tiles, none of which is there.
const verifyPath = "/verify"

func logPageCommand() *cli.Command {
	return &cli.Command{
		Name: "page", Usage: "write the page that verifies a record in a browser",
		Description: "It is one file that needs nothing else, and no network: whoever gets a record can check it without this\n" +
			"program. log serve has it at " + verifyPath + ".\n\nEXAMPLE\n  touchmark log page --out verify.html",
		Flags: []cli.Flag{outFlag(), forceFlag()},
		Action: func(ctx *cli.Context) error {
			if err := wantArgs(ctx); err != nil {
				return err
			}
			page := explorer.Page()
			return consoleOf(ctx).artifact(ctx, page, map[string]string{"page": string(page)})
		},
	}
}

// readerHandler serves the log in dir, and the page.
func readerHandler(dir string) http.Handler {
	page, tiles := explorer.Handler(), tlogclient.Handler(dir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == verifyPath {
			page.ServeHTTP(w, r)
			return
		}
		tiles.ServeHTTP(w, r)
	})
}
