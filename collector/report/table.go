package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// tableWidth is how many columns of a terminal the table takes at most.
const tableWidth = 100

// colors are the terminal's escape sequences for states.
var colors = map[string]string{"unhealthy": "\x1b[1;31m", "unknown": "\x1b[33m", "healthy": "\x1b[32m"}

// WriteTable writes the report as a table for a terminal. Beneath each instance is why it is unhealthy or unknown.
func (r *Report) WriteTable(w io.Writer, color bool) error {
	paint := func(text, state string) string {
		if !color {
			return text
		}
		return colors[state] + text + "\x1b[0m"
	}
	rows := [][]string{{"STATE", "INSTANCE", "NAME", "REGION", "ACCOUNT", "BACKUP AGE", "DEADLINE"}}
	for i := range r.Instances {
		rows = append(rows, r.Instances[i].cells(r.At))
	}
	const name, account, region = 2, 4, 3
	widths := fitWidths(rows, tableWidth, name, account, region)
	var b strings.Builder
	for n, cells := range rows {
		line := joinCells(cells, widths)
		if n == 0 {
			b.WriteString(line + "\n")
			continue
		}
		i := &r.Instances[n-1]
		b.WriteString(paint(i.State, i.State) + strings.TrimPrefix(line, i.State) + "\n")
		for k, detail := range i.details() {
			if k == 0 && displayWidth(i.InstanceName) > widths[name] {
				detail = i.InstanceName + ": " + detail
			}
			b.WriteString(wrap(detail, tableWidth, widths[0]+len(gap)))
		}
	}
	b.WriteString("\n")
	count := func(n int, state string) string { return paint(fmt.Sprintf("%d %s", n, state), state) }
	b.WriteString(count(r.Summary.Unhealthy, "unhealthy") + ", " + count(r.Summary.Unknown, "unknown") + ", " +
		count(r.Summary.Healthy, "healthy") + "\n")
	if len(r.Instances) == 0 {
		b.WriteString(r.Summary.Text + "\n")
	}
	for _, warning := range r.Warnings {
		b.WriteString("\n" + wrap(warning, tableWidth, 0))
	}
	if len(r.MissingActions) > 0 {
		b.WriteString("\n" + wrap("The API denies access. Attach the system policy AliyunEMRStarRocksReadOnlyAccess, or this one, "+
			"to the RAM user or role:", tableWidth, 0) + "\n" + r.policy() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells returns a row of the table. What is unknown is a dash.
func (i *Instance) cells(at time.Time) []string {
	age, deadline := "", ""
	switch {
	case i.LastSuccess != nil:
		age = roughly(at.Sub(*i.LastSuccess))
	case i.RestorableBackups != nil: // it could be read
		age = "never"
	}
	switch {
	case i.Deadline == nil:
	case i.Deadline.After(at):
		deadline = "in " + roughly(i.Deadline.Sub(at))
	default:
		deadline = roughly(at.Sub(*i.Deadline)) + " ago"
	}
	cells := []string{i.State, i.InstanceID, i.InstanceName, i.RegionID, i.Account, age, deadline}
	for n, c := range cells {
		if c == "" {
			cells[n] = "-"
		}
	}
	return cells
}

// details says why the instance is not healthy.
func (i *Instance) details() (all []string) {
	words := make([]string, len(i.Conditions))
	for n, c := range i.Conditions {
		words[n] = string(c)
	}
	if len(words) > 0 {
		all = append(all, strings.Join(words, ", "))
	}
	all = append(all, i.Reasons...)
	if i.Error != nil {
		all = append(all, i.Error.Message+i.Error.request())
	}
	return all
}

func (e *Error) request() string {
	if e.RequestID == "" {
		return ""
	}
	return ", request " + e.RequestID
}

// policy returns a RAM policy that grants the missing actions.
func (r *Report) policy() string {
	const format = `{
  "Version": "1",
  "Statement": [{
    "Effect": "Allow",
    "Action": ["%s"],
    "Resource": "*"
  }]
}`
	return fmt.Sprintf(format, strings.Join(r.MissingActions, `", "`))
}
