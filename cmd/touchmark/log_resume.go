package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

func logResumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "let publishers sign again for a log that they found to have lost what was signed", ArgsUsage: "DIR",
		Description: "A publisher that finds less, or something else, than was signed, in the database or in the state, ends signing for\n" +
			"all publishers of the log (LOG_HALTED). Without --halt this says when and why, with the newest checkpoint that it knew,\n" +
			"and changes nothing. Find out what was restored or lost, and put back into the database what it lacks, from journals and\n" +
			"tiles. Then give --halt with the ID that was said: publishers sign again, and go on from that checkpoint if the state\n" +
			"has a smaller one. Start the one first that knows most. Nobody can take back what was signed twice.\n\nEXAMPLES\n" +
			"  touchmark log resume log\n" +
			"  touchmark log resume --halt 5f0c9a3e11d2b876 log",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "halt", Usage: "what was looked at and mended: the `ID` that the command says without this"}},
		Action: logResume,
	}
}

func logResume(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	id := ctx.String("halt")
	if id == "" && ctx.IsSet("halt") {
		return usagef("--halt needs an ID")
	}
	con, where := consoleOf(ctx), ctx.Args().First()
	place, signer, err := logPlace(where)
	if err != nil {
		return err
	}
	h, err := place.Halted(ctx.Context, signer)
	if err != nil {
		return logError(err)
	}
	switch {
	case h == nil && id != "":
		return usagef("publishers may sign for %s: there is no halt %q", signer.Name(), id)
	case h == nil:
		return con.result(map[string]any{"halted": false, "origin": signer.Name()}, "publishers may sign for "+signer.Name())
	case id == "":
		if err := con.result(haltOf(h, signer.Name()), haltText(h)); err != nil {
			return err
		}
		return hint(h.Err(), "when it is mended: touchmark log resume --halt %s %s", h.ID, where)
	case id != h.ID:
		return hint(h.Err(), "look at this one: touchmark log resume %s", where)
	}
	if err := place.Resume(ctx.Context, signer, id); err != nil {
		return logError(err)
	}
	con.note("start the publisher first that knows most")
	return con.result(map[string]any{"halted": false, "origin": signer.Name()}, "publishers may sign again for "+signer.Name())
}

func haltOf(h *trillianlog.Halt, origin string) map[string]any {
	return map[string]any{
		"halted": true, "origin": origin, "halt": h.ID, "since": h.Since.Format(time.RFC3339), "code": h.Code, "reason": h.Reason,
		"checkpoint": h.Checkpoint,
	}
}

func haltText(h *trillianlog.Halt) string {
	return fmt.Sprintf("halt    %s\nsince   %s\nreason  %s: %s\n\n%s", h.ID, h.Since.Format(time.RFC3339), h.Code, h.Reason, h.Checkpoint)
}
