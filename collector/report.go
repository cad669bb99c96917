package collector

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"starrocks_backup_exporter/apiclient"
)

// Report is a Result for a person at a terminal, or a script. What is not known is left out; foreign text is printable.
type Report struct {
	At             time.Time        `json:"at"`
	Truth          string           `json:"truth"`     // the worst there is
	Instances      []ReportInstance `json:"instances"` // the worst first
	Warnings       []string         `json:"warnings,omitempty"`
	MissingActions []string         `json:"missing_ram_actions,omitempty"` // that the API denies, or probably does
}

// ReportInstance is an instance in a Report. Times are UTC.
type ReportInstance struct {
	InstanceID   string       `json:"instance_id"`
	RegionID     string       `json:"region_id"`
	Account      string       `json:"account"`
	InstanceName string       `json:"instance_name,omitempty"`
	Truth        string       `json:"truth"` // bad, unknown or healthy
	Conditions   []Condition  `json:"conditions,omitempty"`
	Error        *ReportError `json:"error,omitempty"` // why it could not be read

	LastTaskStatus    apiclient.Status `json:"last_task_status,omitempty"`
	LastSuccess       *time.Time       `json:"last_success,omitempty"`
	Deadline          *time.Time       `json:"deadline,omitempty"` // for a newer one
	RestorableBackups *int             `json:"restorable_backups,omitempty"`
	OldestRestorable  *time.Time       `json:"oldest_restorable,omitempty"`
	RestorableUntil   *time.Time       `json:"restorable_until,omitempty"` // left out where one never expires
}

// ReportError is why something could not be read.
type ReportError struct {
	Reason    apiclient.Reason `json:"reason"`
	Message   string           `json:"message"`
	RequestID string           `json:"request_id,omitempty"`
}

// Report says what is read. It is unknown where there is nothing, or where not all of a region's instances could be listed.
func (r *Result) Report() *Report {
	report := &Report{At: r.At.UTC(), Instances: []ReportInstance{}}
	for _, warning := range r.warnings() {
		report.Warnings = append(report.Warnings, printable(warning))
	}
	worstOf := healthy
	denied := map[string]bool{}
	for _, one := range r.worstFirst() {
		worstOf = min(worstOf, one.truth())
		report.Instances = append(report.Instances, newReportInstance(one))
		deniedBy(one.Err, denied)
	}
	for _, d := range r.Discoveries {
		if d.Err != nil || d.LastSuccess.IsZero() {
			worstOf = min(worstOf, unknown)
			deniedBy(d.Err, denied)
		}
	}
	if len(r.Instances) == 0 {
		worstOf = unknown
		report.Warnings = append(report.Warnings, "There is no instance to watch.")
	}
	report.Truth = worstOf.String()
	for action := range denied {
		report.MissingActions = append(report.MissingActions, action)
	}
	slices.Sort(report.MissingActions)
	return report
}

// worstFirst are the instances, the worst first.
func (r *Result) worstFirst() []*InstanceResult {
	sorted := make([]*InstanceResult, len(r.Instances))
	for i := range r.Instances {
		sorted[i] = &r.Instances[i]
	}
	slices.SortFunc(sorted, worst)
	return sorted
}

// worst orders instances for people: bad ones, those with the gravest condition first, unknown ones, healthy ones; then by name.
func worst(a, b *InstanceResult) int {
	return cmp.Or(
		cmp.Compare(a.truth(), b.truth()),
		cmp.Compare(a.gravity(), b.gravity()),
		cmp.Compare(a.Instance.RegionID, b.Instance.RegionID),
		cmp.Compare(a.Instance.InstanceID, b.Instance.InstanceID),
	)
}

// gravity is the place of the gravest condition that holds: first those that page at night, as the alert rules have it.
func (r *InstanceResult) gravity() int {
	gravest := []Condition{Missing, Expiring, Overdue, Failing, Stuck, Shrunk, TablesFailed, RetentionTooShort, StatusUnknown}
	return slices.IndexFunc(gravest, func(c Condition) bool { return r.Health != nil && r.Health.Conditions[c] })
}

var ramAction = regexp.MustCompile(`^[a-z][a-z0-9-]*:[A-Za-z0-9]+$`)

// deniedBy adds the RAM action that a denial of the API's names; where it names none that is one, that which its call is named
// after. Who attaches a policy must not attach what a network has written.
func deniedBy(err error, to map[string]bool) {
	var e *apiclient.Error
	if !errors.As(err, &e) || e.Reason != apiclient.ReasonForbidden || e.Code == "" {
		return
	}
	if ramAction.MatchString(e.Action) {
		to[e.Action] = true
	} else {
		to["sr:"+e.Operation] = true
	}
}

func newReportInstance(r *InstanceResult) ReportInstance {
	i := ReportInstance{InstanceID: printable(r.Instance.InstanceID), RegionID: r.Instance.RegionID, Account: r.Instance.Account, Truth: r.truth().String()}
	if r.Err != nil {
		i.Error = &ReportError{Reason: r.Reason(), Message: printable(r.Err.Error())}
		var e *apiclient.Error
		if errors.As(r.Err, &e) {
			i.Error.RequestID = printable(e.RequestID)
		}
	}
	h := r.Health
	if h == nil {
		return i
	}
	if h.Snapshot != nil {
		i.InstanceName = printable(h.Snapshot.InstanceName)
	}
	i.Conditions, i.LastTaskStatus, i.RestorableBackups = h.holding(), h.LastStatus, &h.Restorable
	i.LastSuccess, i.Deadline = known(h.LastSuccess), known(h.Deadline)
	i.OldestRestorable, i.RestorableUntil = known(h.OldestRestorable), known(h.RestorableUntil)
	return i
}

// known is nil for a time that is not.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// WriteTable writes the report as a table, and below it what could not be read and why.
func (r *Report) WriteTable(w io.Writer) error {
	count := map[string]int{}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TRUTH\tINSTANCE\tNAME\tREGION\tCONDITIONS\tNEWEST TASK\tNEWEST GOOD BACKUP\tAGE\tRESTORABLE\tRESTORABLE UNTIL")
	for _, i := range r.Instances {
		count[i.Truth]++
		fmt.Fprintln(table, strings.Join(i.cells(r.At), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d bad, %d unknown, %d healthy\n", count["bad"], count["unknown"], count["healthy"])
	for _, i := range r.Instances {
		if i.Error != nil {
			fmt.Fprintf(w, "%s (%s): %s%s\n", i.InstanceID, i.RegionID, i.Error.Message, i.Error.request())
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, warning)
	}
	if len(r.MissingActions) > 0 {
		fmt.Fprintf(w, "\nThe API denies access. Attach the system policy AliyunEMRStarRocksReadOnlyAccess, or this one, to the RAM user or role:\n\n%s\n", r.policy())
	}
	return nil
}

// cells are a row of the table; what is not known is a dash.
func (i *ReportInstance) cells(at time.Time) []string {
	cells := []string{i.Truth, i.InstanceID, i.InstanceName, i.RegionID, "", "", "", "", "", ""}
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
			until = "for ever"
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

func (e *ReportError) request() string {
	if e.RequestID == "" {
		return ""
	}
	return ", request " + e.RequestID
}

// policy grants what is missing.
func (r *Report) policy() string {
	return fmt.Sprintf(`{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["%s"], "Resource": "*"}]}`, strings.Join(r.MissingActions, `", "`))
}

// printable keeps foreign text from moving the cursor or the columns of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
