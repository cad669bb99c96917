package fleet

import (
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// Result is a finished scrape: plain values. It has one InstanceResult for each instance, configured ones first in the order of the
// configuration, then discovered ones.
type Result struct {
	At       time.Time
	Deadline time.Duration // that the scrape had; 0 if none
	Shard    Shard
	// RequestsPerSecond is the exporter's own limit, per account and region; 0 if none.
	RequestsPerSecond float64
	Instances         []InstanceResult
	Discoveries       []DiscoveryResult
	RequestTimes      []RequestTime
	Credentials       []AccountCredentials // of the accounts whose credentials are known, by account
	Optional          []OptionalResult     // of the optional reads that are configured
}

// TimeOf returns how long some requests take at the exporter's own limit, with its whole burst.
func (r *Result) TimeOf(requests int) time.Duration {
	if r.RequestsPerSecond <= 0 {
		return 0
	}
	beyondBurst := max(0, float64(requests)-max(1, r.RequestsPerSecond))
	return time.Duration(beyondBurst / r.RequestsPerSecond * float64(time.Second))
}

// NeverFits reports whether an instance that could not be read takes longer than the scrape's deadline, and how long: at the exporter's own
// limit, or because the API takes its time for each page.
func (r *Result) NeverFits(one *InstanceResult) (needed time.Duration, never bool) {
	needed = max(r.TimeOf(one.Totals.Requests), one.Totals.ReadTime)
	return needed, one.Err != nil && one.Totals.Requests > 0 && r.Deadline > 0 && needed > r.Deadline
}

// AccountCredentials says where the credentials in use by an account come from.
type AccountCredentials struct {
	Account  string
	Provider string // in the words of the vendor's library, such as oidc_role_arn
	Before   string // the provider before it; empty if there was none since the exporter started
}

// InstanceResult is one instance in a Result. Either Err or Health is set.
type InstanceResult struct {
	Instance config.Instance
	Err      error         // why the instance could not be read in full
	Duration time.Duration // of reading it; 0 if its turn did not come
	Health   *health.Health
	// ReadBefore says that the instance was read by an earlier scrape, and need not be read in this one.
	ReadBefore bool
	Facts      *health.Facts // of the last complete read; nil before the first
	Limits     health.Limits // what the facts are judged with
	Totals     InstanceTotals
}

// Reason says why the instance could not be read; empty if it could.
func (r *InstanceResult) Reason() apiclient.Reason { return reasonOf(r.Err) }

// ReadCondition is a reason why an instance cannot be read. It is the label `condition` of the metric.
type ReadCondition struct {
	Name  string
	Holds bool
}

// ReadConditions returns what is known of why the instance cannot be read. A failure for one reason says nothing about the others.
func (r *InstanceResult) ReadConditions() []ReadCondition {
	conditions := []ReadCondition{{"unreadable", r.Err != nil}}
	reason := r.Reason()
	denied := reason == apiclient.ReasonUnauthorized || reason == apiclient.ReasonForbidden
	if r.Err == nil || denied {
		conditions = append(conditions, ReadCondition{"access_denied", denied})
	}
	if r.Err == nil || reason == apiclient.ReasonThrottled {
		conditions = append(conditions, ReadCondition{"throttled", r.Err != nil})
	}
	return conditions
}

// State is what can be said of an instance in one word, worst first.
type State int

// The states.
const (
	Unhealthy State = iota
	Unknown
	Healthy
)

// String implements fmt.Stringer.
func (s State) String() string { return [...]string{"unhealthy", "unknown", "healthy"}[s] }

// State returns the state of the instance.
func (r *InstanceResult) State() State {
	switch {
	case r.Health == nil:
		return Unknown
	case len(r.Health.Holding()) > 0:
		return Unhealthy
	default:
		return Healthy
	}
}

// InstanceTotals is what is counted of an instance while the exporter runs.
type InstanceTotals struct {
	Errors   map[apiclient.Reason]int // failed reads
	Finished map[apiclient.Status]int // tasks seen to end
	LastRead time.Time                // last complete read; zero before the first
	Requests int                      // that one read of this instance takes, estimated from the last; 0 before the first
	ReadTime time.Duration            // that one read of this instance takes, estimated as Requests is
	Listed   bool                     // the last complete read came from a list of its whole region
}

// DiscoveryResult is what is known of a discovery. Its numbers count instances of this shard only.
type DiscoveryResult struct {
	Account, RegionID, Tags string
	Instances               int
	LeftOut                 map[LeftOutReason]int
	LastSuccess             time.Time // last complete list of instances; zero before the first
	Errors                  map[apiclient.Reason]int
	Err                     error         // of the last list of instances
	ReadsEach               bool          // its list of backups failed, so each instance is read on its own for now
	ListRequests            int           // that its last list of backups took
	ListTime                time.Duration // that its last list of backups took; pages come one after another
}

// RequestTime is how long the requests of one scrape take, in an account and region, at the exporter's own limit with its whole burst.
// It is at least the time that the last list of a region took.
type RequestTime struct {
	Account, RegionID string
	Requests          int
	Time              time.Duration
}

// TooLong reports whether the scrape's deadline is too short for the requests.
func (t RequestTime) TooLong(deadline time.Duration) bool { return deadline > 0 && t.Time > deadline }

// TooLongHint says what helps if the requests take longer than a scrape's deadline.
const TooLongHint = "raise Prometheus' scrape_timeout (and scrape_interval) or api.requests_per_second, " +
	"set api.min_interval or listing: region, or use more shards (with listing: region, each still lists the whole region)"

// OptionalResult is how the optional reads of an operation go.
type OptionalResult struct {
	Operation string
	Errors    map[apiclient.Reason]int // failed reads
	Failures  []OptionalFailure        // instances whose last read failed, by reason
}

// OptionalFailure is why an optional read of some instances failed.
type OptionalFailure struct {
	Subject   string // what was to be read, in words
	Reason    apiclient.Reason
	Instances int
	Err       error // of one of them
}

func reasonOf(err error) apiclient.Reason {
	if err == nil {
		return ""
	}
	return apiclient.ReasonOf(err)
}
