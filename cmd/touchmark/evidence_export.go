package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/export"
)

// otlpHeadersVariable is the standard variable for headers of requests to a collector, of every program that exports.
const otlpHeadersVariable = "OTEL_EXPORTER_OTLP_HEADERS"

func evidenceExportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write records for other programs: JSON lines, or logs of OpenTelemetry",
		Description: "With --format jsonl a line is an entry, as it is in the log, and verifies elsewhere: evidence verify --lines. With\n" +
			"--records it is the record alone, which nobody can verify. With --format otlp a line is an\n" +
			"ExportLogsServiceRequest of OTLP in its JSON encoding, and --otlp sends them to a collector instead. Headers for\n" +
			"that, as Authorization, come from " + otlpHeadersVariable + ". Parameters, results, badges and salts are in no record.\n" +
			"At the end stands where to go on: --from.\n\n" +
			"EXAMPLES\n  touchmark evidence export --evidence journal --from 1200 >>records.jsonl\n" +
			"  touchmark evidence export --evidence journal --tenant acme --outcomes --out acme.jsonl\n" +
			"  touchmark evidence export --evidence journal --format otlp --otlp https://collector.example:4318",
		Flags: append(filterFlags(),
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "`F`: jsonl or otlp"},
			&cli.BoolFlag{Name: "records", Usage: "the records alone, without signatures"},
			&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "otlp", Usage: "send to the collector at `URL`, by OTLP over HTTP"},
			forceFlag(),
		),
		Action: evidenceExport,
	}
}

func evidenceExport(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	form := export.Entries
	if ctx.Bool("records") {
		form = export.Records
	}
	format, collector := ctx.String("format"), ctx.String("otlp")
	switch {
	case format != "jsonl" && format != "otlp":
		return usagef("--format %q is neither jsonl nor otlp", format)
	case collector != "" && format != "otlp":
		return usagef("--otlp takes --format otlp")
	case collector != "" && ctx.IsSet("out"):
		return usagef("--otlp sends what --out would write: give one of them")
	}
	var sink sink
	if collector != "" {
		if sink, err = newPush(collector, form); err != nil {
			return err
		}
	}
	f, err := newFinder(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	if sink == nil {
		out, err := exportOutput(ctx)
		if err != nil {
			return err
		}
		sink = &fileSink{con: f.con, out: out, w: bufio.NewWriterSize(out, 1<<16), form: form, otlp: format == "otlp"}
	}
	return runExport(ctx.Context, f, sink)
}

// exportOutput opens what --out names.
func exportOutput(ctx *cli.Context) (io.WriteCloser, error) {
	name := ctx.Path("out")
	if name == "" || name == "-" {
		return nopCloser{consoleOf(ctx).out}, nil
	}
	if err := free(name, ctx.Bool("force")); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, modeSecret) //nolint:gosec // the operator's; entries are as public as the log has them
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if err := f.Chmod(modeSecret); err != nil { // the file may have been there, with another
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// A sink takes entries in batches. What it took is out.
type sink interface {
	put(ctx context.Context, batch []*evidence.UnverifiedEntry) error
	close() error
}

func runExport(ctx context.Context, f *finder, to sink) (err error) {
	var batch []*evidence.UnverifiedEntry
	sent, last := 0, uint64(0)
	defer func() {
		if cerr := to.close(); cerr != nil {
			err = errors.Join(err, cerr) // and nobody knows what is out
			return
		}
		f.con.note("exported %s", f.summary(sent, last))
	}()
	put := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := to.put(ctx, batch); err != nil {
			return err
		}
		sent, last = sent+len(batch), batch[len(batch)-1].Record.Sequence
		batch = batch[:0]
		return nil
	}
	for found, err := range f.find(ctx) {
		if err != nil {
			return errors.Join(err, put())
		}
		if batch = append(batch, found.Entry); len(batch) == export.MaxBatch {
			if err := put(); err != nil {
				return err
			}
		}
	}
	return put()
}

// A fileSink writes lines.
type fileSink struct {
	con  *console
	out  io.Closer
	w    *bufio.Writer
	form export.Form
	otlp bool
}

func (s *fileSink) put(_ context.Context, batch []*evidence.UnverifiedEntry) error {
	s.con.printed = true
	if s.otlp {
		line, err := export.Logs(batch, s.form)
		if err != nil {
			return err
		}
		return errors.Join(s.write(line), s.w.Flush())
	}
	for _, e := range batch {
		line, err := export.Line(e, s.form)
		if err != nil {
			return err
		}
		if err := s.write(line); err != nil {
			return err
		}
	}
	return s.w.Flush()
}

func (s *fileSink) write(line []byte) error {
	if _, err := s.w.Write(line); err != nil {
		return err
	}
	return s.w.WriteByte('\n')
}

func (s *fileSink) close() error { return s.out.Close() }

// A push sends to a collector.
type push struct{ client *export.Client }

func newPush(url string, form export.Form) (*push, error) {
	header, err := readHeaders(os.Getenv(otlpHeadersVariable))
	if err != nil {
		return nil, err
	}
	client, err := export.NewClient(&export.ClientConfig{URL: url, Form: form, Header: header})
	if err != nil {
		return nil, malformed(err)
	}
	return &push{client}, nil
}

func (p *push) put(ctx context.Context, batch []*evidence.UnverifiedEntry) error {
	err := p.client.Push(ctx, batch)
	var refused *export.RefusedError
	if errors.As(err, &refused) {
		return undeterminedf("%v", err)
	}
	return err
}

func (p *push) close() error { return nil }

// readHeaders reads name=value pairs with commas between them.
func readHeaders(text string) (map[string]string, error) {
	header := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); ok && name != "" {
			header[name] = strings.TrimSpace(value)
		} else if strings.TrimSpace(pair) != "" {
			return nil, usagef("%s is not a list of NAME=VALUE", otlpHeadersVariable)
		}
	}
	return header, nil
}
