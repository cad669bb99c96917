package report

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// Report is a result for a person at a terminal, on the page, or for a script. What is unknown is left out. Names and messages are
// printable. Its JSON is described in docs/json.md.
type Report struct {
	At             time.Time  `json:"at"`              // that it is true of
	CollectedAt    time.Time  `json:"collected_at"`    // that it was read
	State          string     `json:"state"`           // the worst of all instances and regions
	Shard          string     `json:"shard,omitempty"` // which share of the instances this is, as a sentence; empty without shards
	Summary        Summary    `json:"summary"`
	Instances      []Instance `json:"instances"` // worst first
	Regions        []Region   `json:"regions,omitempty"`
	Warnings       []string   `json:"warnings,omitempty"`
	MissingActions []string   `json:"missing_ram_actions,omitempty"` // RAM actions that the API denies, or probably denies
}

// Summary counts instances by state, and regions whose instances are not known for certain.
type Summary struct {
	Unhealthy       int    `json:"unhealthy"`
	Unknown         int    `json:"unknown"`
	Healthy         int    `json:"healthy"`
	UnlistedRegions int    `json:"unlisted_regions"`
	Text            string `json:"text"`               // all of it in words
	Restores        string `json:"restores,omitempty"` // when a restore was last proven, in words; empty if no history was read

	lastUnhealthy int // unknown instances that are unhealthy by their last read
}

// Instance is an instance in a Report. Times are UTC. If the state is unknown, everything but Error is as of ReadAt.
type Instance struct {
	InstanceID   string             `json:"instance_id"`
	RegionID     string             `json:"region_id"`
	Account      string             `json:"account"`
	InstanceName string             `json:"instance_name,omitempty"`
	State        string             `json:"state"`                // unhealthy, unknown or healthy
	Conditions   []health.Condition `json:"conditions,omitempty"` // most urgent first
	Reasons      []string           `json:"reasons,omitempty"`    // why it is not healthy: sentences, most urgent first
	Error        *Error             `json:"error,omitempty"`      // why it could not be read
	ReadAt       *time.Time         `json:"read_at,omitempty"`    // last complete read

	MaxAgeSeconds   float64    `json:"max_age_seconds,omitempty"`
	Schedule        string     `json:"schedule,omitempty"`
	Deadline        *time.Time `json:"deadline,omitempty"` // for a newer success
	OverdueSeconds  float64    `json:"overdue_seconds,omitempty"`
	SubscriptionEnd *time.Time `json:"subscription_end,omitempty"`

	LastTaskStatus      apiclient.Status `json:"last_task_status,omitempty"`
	LastTaskStart       *time.Time       `json:"last_task_start,omitempty"`
	RunningSince        *time.Time       `json:"running_since,omitempty"`
	LongestRunSeconds   float64          `json:"longest_run_seconds,omitempty"` // of the successes
	ConsecutiveFailures *int             `json:"consecutive_failures,omitempty"`
	LastFailure         *time.Time       `json:"last_failure,omitempty"`

	LastSuccess                *time.Time `json:"last_success,omitempty"`
	LastSuccessDurationSeconds *float64   `json:"last_success_duration_seconds,omitempty"`
	LastSuccessDataBytes       *float64   `json:"last_success_data_size_bytes,omitempty"`
	BaselineBytes              *float64   `json:"data_size_baseline_bytes,omitempty"`
	FailedTables               []Table    `json:"failed_tables,omitempty"`     // that the newest success lacks
	MissingDatabases           []string   `json:"missing_databases,omitempty"` // that the newest success lacks and the one before it has

	RestorableBackups *int       `json:"restorable_backups,omitempty"`
	OldestRestorable  *time.Time `json:"oldest_restorable,omitempty"`
	RestorableUntil   *time.Time `json:"restorable_until,omitempty"` // left out if a backup never expires

	Policies    *int       `json:"policies,omitempty"`     // backup policies
	LastRestore *time.Time `json:"last_restore,omitempty"` // end of the newest completed one

	judged judged
}

// Table names a table.
type Table struct {
	Database string `json:"database"`
	Table    string `json:"table"`
}

// Region is a region whose instances are discovered.
type Region struct {
	Account   string     `json:"account"`
	RegionID  string     `json:"region_id"`
	Tags      string     `json:"tags,omitempty"`
	State     string     `json:"state"` // healthy, or unknown if its instances are not known for certain
	Instances int        `json:"instances"`
	ListedAt  *time.Time `json:"listed_at,omitempty"` // last complete list
	Error     *Error     `json:"error,omitempty"`
}

// Error is why something could not be read.
type Error struct {
	Reason    apiclient.Reason `json:"reason"`
	Message   string           `json:"message"`
	RequestID string           `json:"request_id,omitempty"`
}

// New returns the report of a result at a time, which may be later than the result's: each instance is judged anew. Its state is unknown
// if there is no instance, or if a region could not be listed in full.
func New(r *fleet.Result, at time.Time) *Report {
	report := &Report{At: utc(at), CollectedAt: utc(r.At), Instances: []Instance{}}
	for _, warning := range warnings(r) {
		report.Warnings = append(report.Warnings, printable(warning))
	}
	state := fleet.Healthy
	denied := map[string]bool{}
	for _, one := range judge(r, at) {
		state = min(state, one.state())
		report.Summary.add(&one)
		report.Instances = append(report.Instances, newInstance(one))
		addDenied(denied, one.Err)
	}
	for i := range r.Discoveries {
		d := &r.Discoveries[i]
		region := newRegion(d)
		report.Regions = append(report.Regions, region)
		if region.State == fleet.Unknown.String() {
			state = min(state, fleet.Unknown)
			report.Summary.UnlistedRegions++
			addDenied(denied, d.Err)
		}
	}
	for _, o := range r.Optional {
		for _, f := range o.Failures {
			addDenied(denied, f.Err)
		}
	}
	if len(r.Instances) == 0 {
		state = fleet.Unknown
	}
	report.State = state.String()
	if s := r.Shard; s.Total > 1 {
		report.Shard = fmt.Sprintf("This exporter reads only shard %d of %d; shards are numbered from 0.", s.Index, s.Total)
	}
	report.Summary.Text, report.Summary.Restores = report.Summary.text(), restores(r)
	for action := range denied {
		report.MissingActions = append(report.MissingActions, action)
	}
	slices.Sort(report.MissingActions)
	return report
}

func (s *Summary) add(j *judged) {
	switch j.state() {
	case fleet.Unhealthy:
		s.Unhealthy++
	case fleet.Unknown:
		s.Unknown++
		if len(j.holding) > 0 {
			s.lastUnhealthy++
		}
	default:
		s.Healthy++
	}
}

// text says the summary in words.
func (s *Summary) text() string {
	all := s.Unhealthy + s.Unknown + s.Healthy
	before, regions := "", ""
	if s.lastUnhealthy > 0 {
		before = fmt.Sprintf(" By their last read, %d of these%s unhealthy.", s.lastUnhealthy, are(s.lastUnhealthy))
	}
	if s.UnlistedRegions > 0 {
		regions = fmt.Sprintf(" %s could not be listed.", plural(s.UnlistedRegions, "region"))
	}
	of := fmt.Sprintf("of %s", plural(all, "instance"))
	switch {
	case all == 0:
		return "No instance is watched." + regions
	case s.Unknown == all:
		return "None " + of + " could be read." + before + regions
	case s.Unhealthy > 0 && s.Unknown > 0:
		return fmt.Sprintf("%d %s unhealthy, and %d could not be read.", s.Unhealthy, of+are(s.Unhealthy), s.Unknown) + before + regions
	case s.Unhealthy > 0:
		return fmt.Sprintf("%d %s unhealthy.", s.Unhealthy, of+are(s.Unhealthy)) + regions
	case s.Unknown > 0:
		return fmt.Sprintf("%d %s could not be read. All others are healthy.", s.Unknown, of) + before + regions
	case regions != "":
		return "Every instance that is known is healthy." + regions
	default:
		return "Every instance is healthy." + regions
	}
}

// restores says of how many instances a restore is known, and when the newest of all completed.
func restores(r *fleet.Result) string {
	read, restored := 0, 0
	var newest time.Time
	for i := range r.Instances {
		l := r.Instances[i].Limits.Restores
		if l == nil {
			continue
		}
		read++
		if !l.Last.IsZero() {
			restored++
		}
		if l.Last.After(newest) {
			newest = l.Last
		}
	}
	switch {
	case read == 0:
		return ""
	case restored == 0:
		return fmt.Sprintf("The history of %s contains no completed restore.", plural(read, "instance"))
	default:
		return fmt.Sprintf("The history of %d of %s contains a completed restore; the newest completed at %s.",
			restored, plural(read, "instance"), clock(newest))
	}
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

func newRegion(d *fleet.DiscoveryResult) Region {
	r := Region{
		Account: d.Account, RegionID: d.RegionID, Tags: printable(d.Tags), State: fleet.Healthy.String(), Instances: d.Instances,
		ListedAt: known(d.LastSuccess), Error: newError(d.Err),
	}
	if unlisted(d) != "" {
		r.State = fleet.Unknown.String()
	}
	return r
}

func newError(err error) *Error {
	if err == nil {
		return nil
	}
	e := &Error{Reason: apiclient.ReasonOf(err), Message: printable(message(err))}
	if api, ok := errors.AsType[*apiclient.Error](err); ok {
		e.RequestID = printable(api.RequestID)
	}
	return e
}

func newInstance(j judged) Instance {
	i := Instance{
		InstanceID: printable(j.Instance.InstanceID), RegionID: j.Instance.RegionID, Account: j.Instance.Account, State: j.state().String(),
		Error: newError(j.Err), MaxAgeSeconds: j.Limits.MaxAge.Seconds(), Schedule: j.Instance.Schedule, Conditions: j.holding,
		SubscriptionEnd: known(j.Limits.SubscriptionEnd), judged: j,
	}
	if p := j.Limits.Policies; p != nil {
		n := len(p.All)
		i.Policies = &n
	}
	if l := j.Limits.Restores; l != nil {
		i.LastRestore = known(l.Last)
	}
	for _, w := range j.reasons() {
		i.Reasons = append(i.Reasons, w.Text)
	}
	if j.health != nil {
		i.addHealth(j.health)
	}
	return i
}

func (i *Instance) addHealth(h *health.Health) {
	if h.Snapshot != nil {
		i.InstanceName = printable(h.Snapshot.InstanceName)
	}
	i.ReadAt, i.Deadline = known(h.ReadAt), known(h.Deadline)
	if h.Conditions[health.Overdue] {
		i.OverdueSeconds = i.judged.late().Truncate(time.Second).Seconds()
	}
	i.LastTaskStatus, i.LastTaskStart, i.RunningSince = h.LastStatus(), known(h.LastStart()), known(h.RunningStart)
	i.LongestRunSeconds, i.ConsecutiveFailures, i.LastFailure = h.LongestRun, &h.ConsecutiveFailures, known(h.LastFailure)
	i.LastSuccess, i.LastSuccessDurationSeconds = known(h.LastSuccess), number(h.LastSuccessDuration)
	i.LastSuccessDataBytes, i.BaselineBytes = number(h.LastSuccessDataBytes), number(h.BaselineBytes)
	for _, t := range h.LackingTables.Named {
		i.FailedTables = append(i.FailedTables, Table{printable(t.Database), printable(t.Name)})
	}
	for _, d := range h.MissingDatabases {
		i.MissingDatabases = append(i.MissingDatabases, printable(d))
	}
	i.RestorableBackups = &h.Restorable
	i.OldestRestorable, i.RestorableUntil = known(h.OldestRestorable), known(h.RestorableUntil)
}

// known returns nil for an unknown time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = utc(t)
	return &t
}

func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// number returns nil for an unknown number.
func number(n float64) *float64 {
	if math.IsNaN(n) {
		return nil
	}
	return &n
}
