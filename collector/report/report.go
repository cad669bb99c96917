package report

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector/fleet"
	"starrocks_backup_exporter/collector/health"
)

// Report is a result for a person at a terminal, or for a script. What is unknown is left out. Names and messages are printable.
type Report struct {
	At             time.Time  `json:"at"`
	State          string     `json:"state"`     // the worst of all instances
	Instances      []Instance `json:"instances"` // worst first
	Warnings       []string   `json:"warnings,omitempty"`
	MissingActions []string   `json:"missing_ram_actions,omitempty"` // RAM actions that the API denies, or probably denies
}

// Instance is an instance in a Report. Times are UTC.
type Instance struct {
	InstanceID   string             `json:"instance_id"`
	RegionID     string             `json:"region_id"`
	Account      string             `json:"account"`
	InstanceName string             `json:"instance_name,omitempty"`
	State        string             `json:"state"` // unhealthy, unknown or healthy
	Conditions   []health.Condition `json:"conditions,omitempty"`
	Error        *Error             `json:"error,omitempty"` // why it could not be read

	LastTaskStatus    apiclient.Status `json:"last_task_status,omitempty"`
	LastSuccess       *time.Time       `json:"last_success,omitempty"`
	Deadline          *time.Time       `json:"deadline,omitempty"` // for a newer success
	RestorableBackups *int             `json:"restorable_backups,omitempty"`
	OldestRestorable  *time.Time       `json:"oldest_restorable,omitempty"`
	RestorableUntil   *time.Time       `json:"restorable_until,omitempty"` // left out if a backup never expires
}

// Error is why something could not be read.
type Error struct {
	Reason    apiclient.Reason `json:"reason"`
	Message   string           `json:"message"`
	RequestID string           `json:"request_id,omitempty"`
}

// New returns the report of a result. Its state is unknown if there is no instance, or if a region could not be listed in full.
func New(r *fleet.Result) *Report {
	report := &Report{At: r.At.UTC(), Instances: []Instance{}}
	for _, warning := range warnings(r) {
		report.Warnings = append(report.Warnings, printable(warning))
	}
	state := fleet.Healthy
	denied := map[string]bool{}
	for _, one := range worstFirst(r) {
		state = min(state, one.State())
		report.Instances = append(report.Instances, newInstance(one))
		addDenied(denied, one.Err)
	}
	for _, d := range r.Discoveries {
		if d.Err != nil || d.LastSuccess.IsZero() {
			state = min(state, fleet.Unknown)
			addDenied(denied, d.Err)
		}
	}
	if len(r.Instances) == 0 {
		state = fleet.Unknown
		report.Warnings = append(report.Warnings, "No instance is watched.")
	}
	report.State = state.String()
	for action := range denied {
		report.MissingActions = append(report.MissingActions, action)
	}
	slices.Sort(report.MissingActions)
	return report
}

var ramAction = regexp.MustCompile(`^[a-z][a-z0-9-]*:[A-Za-z0-9]+$`)

// addDenied adds the RAM action that a denial by the API names. If it names none, or text that is not an action, the action is the one
// that the operation is named after: nobody should attach a policy whose text came from a network.
func addDenied(denied map[string]bool, err error) {
	var e *apiclient.Error
	if !errors.As(err, &e) || e.Reason != apiclient.ReasonForbidden || e.Code == "" {
		return
	}
	if ramAction.MatchString(e.Action) {
		denied[e.Action] = true
	} else {
		denied["sr:"+e.Operation] = true
	}
}

func newInstance(r *fleet.InstanceResult) Instance {
	i := Instance{
		InstanceID: printable(r.Instance.InstanceID), RegionID: r.Instance.RegionID, Account: r.Instance.Account, State: r.State().String(),
	}
	if r.Err != nil {
		i.Error = &Error{Reason: r.Reason(), Message: printable(r.Err.Error())}
		if e, ok := errors.AsType[*apiclient.Error](r.Err); ok {
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
	i.Conditions, i.LastTaskStatus, i.RestorableBackups = h.Holding(), h.LastStatus(), &h.Restorable
	i.LastSuccess, i.Deadline = known(h.LastSuccess), known(h.Deadline)
	i.OldestRestorable, i.RestorableUntil = known(h.OldestRestorable), known(h.RestorableUntil)
	return i
}

// known returns nil for an unknown time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
