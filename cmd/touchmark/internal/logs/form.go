package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// FormSuffix is what the name of a log's directory is continued with for the file that says what its leaves are: "digest".
// A log without it holds whole entries.
const FormSuffix = ".form"

const maxForm = 64

// Form reads what the leaves of the log in dir are.
func Form(dir string) (evidence.LogForm, error) {
	text, err := durable.ReadFile(durable.OS{}, dir+FormSuffix, maxForm)
	if errors.Is(err, fs.ErrNotExist) {
		return evidence.FormRecord, nil
	}
	if err != nil {
		return evidence.FormRecord, err
	}
	form, err := evidence.ParseLogForm(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return evidence.FormRecord, fmt.Errorf("%s%s: %w", dir, FormSuffix, err)
	}
	return form, nil
}

// WriteForm writes the file for a form that is not that of a log without it.
func WriteForm(dir string, form evidence.LogForm) error {
	if form == evidence.FormRecord {
		return nil
	}
	return os.WriteFile(dir+FormSuffix, []byte(form.String()+"\n"), 0o644) //nolint:gosec // for readers
}
