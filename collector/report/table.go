package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the report as a table, followed by what could not be read and why.
func (r *Report) WriteTable(w io.Writer) error {
	count := map[string]int{}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tINSTANCE\tNAME\tREGION\tCONDITIONS\tNEWEST TASK\tNEWEST GOOD BACKUP\tAGE\tRESTORABLE\tRESTORABLE UNTIL")
	for _, i := range r.Instances {
		count[i.State]++
		fmt.Fprintln(table, strings.Join(i.cells(r.At), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d unhealthy, %d unknown, %d healthy\n", count["unhealthy"], count["unknown"], count["healthy"])
	if len(r.Instances) == 0 {
		fmt.Fprintln(w, r.Summary.Text)
	}
	for _, i := range r.Instances {
		if i.Error != nil {
			fmt.Fprintf(w, "%s (%s): %s%s\n", i.InstanceID, i.RegionID, i.Error.Message, i.Error.request())
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, warning)
	}
	if len(r.MissingActions) > 0 {
		fmt.Fprintf(
			w,
			"\nThe API denies access. Attach the system policy AliyunEMRStarRocksReadOnlyAccess, or this one, to the RAM user or role:\n\n%s\n",
			r.policy(),
		)
	}
	return nil
}

// cells returns a row of the table. What is unknown is a dash.
func (i *Instance) cells(at time.Time) []string {
	cells := []string{i.State, i.InstanceID, i.InstanceName, i.RegionID, "", "", "", "", "", ""}
	if i.Error == nil {
		words := make([]string, len(i.Conditions))
		for n, c := range i.Conditions {
			words[n] = string(c)
		}
		newest, age, until := "never", "", "nothing to restore"
		if i.LastSuccess != nil {
			newest, age = clock(*i.LastSuccess), roughly(at.Sub(*i.LastSuccess))
		}
		switch {
		case i.RestorableUntil != nil:
			until = clock(*i.RestorableUntil)
		case *i.RestorableBackups > 0:
			until = "never expires"
		}
		cells = append(cells[:4], strings.Join(words, " "), string(i.LastTaskStatus), newest, age, fmt.Sprint(*i.RestorableBackups), until)
	}
	for n, c := range cells {
		if c == "" {
			cells[n] = "-"
		}
	}
	return cells
}

func (e *Error) request() string {
	if e.RequestID == "" {
		return ""
	}
	return ", request " + e.RequestID
}

// policy returns a RAM policy that grants the missing actions.
func (r *Report) policy() string {
	const format = `{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["%s"], "Resource": "*"}]}`
	return fmt.Sprintf(format, strings.Join(r.MissingActions, `", "`))
}
