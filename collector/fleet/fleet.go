// Package fleet reads the backups of all instances. It knows which instances there are (configured, discovered, sharded), how they
// are read, who shares which collection, and what outlives a scrape.
package fleet

import (
	"context"
	"iter"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// BackupLister lists backups: an *apiclient.Client.
type BackupLister interface {
	Acquire(ctx context.Context) (*apiclient.Place, error)
	Backups(ctx context.Context, r apiclient.DescribeBackupsRequest) iter.Seq2[apiclient.Backup, error]
}

// OptionalLister lists backup policies and the history of operations: an *apiclient.Client.
type OptionalLister interface {
	BackupPolicies(ctx context.Context, instanceID string) iter.Seq2[apiclient.BackupPolicy, error]
	OperationHistory(ctx context.Context, instanceID, operationType string) iter.Seq2[apiclient.Operation, error]
}

// Target is an instance and how to read it.
type Target struct {
	config.Instance
	Lister    BackupLister
	Optional  OptionalLister
	discovery *Discovery // that found it; nil if it is configured by id
	// What a discovery knows of it; zero if unknown, or if no discovery found it.
	created, subscriptionEnd time.Time
}

func (t Target) key() instanceKey { return instanceKey{t.RegionID, t.InstanceID} }

// lane is what is read with the same account in the same region. It shares a limit of requests.
func (t Target) lane() laneKey { return laneKey{t.Account, t.RegionID} }

// Discovery is an entry of the configuration whose instances are found by asking a source.
type Discovery struct {
	config.Discovery
	Source   Source
	Lister   BackupLister
	Optional OptionalLister
}

func (d *Discovery) key() discoveryKey { return discoveryKey{d.Account, d.RegionID, d.TagList()} }

func (d *Discovery) lane() laneKey { return laneKey{d.Account, d.RegionID} }

// wants reports whether an instance that another entry of the same region found belongs to this one: it carries the tags, and is not
// excluded.
func (d *Discovery) wants(i FoundInstance) bool {
	for key, value := range d.Tags {
		if carried, has := i.Tags[key]; !has || carried != value {
			return false
		}
	}
	return !excludes(d.Exclude, i.InstanceID, i.Tags)
}

// target is a discovered instance.
func (d *Discovery) target(i FoundInstance) Target {
	return Target{
		Instance: d.Instance(i.InstanceID), Lister: d.Lister, Optional: d.Optional,
		discovery: d, created: i.Created, subscriptionEnd: i.SubscriptionEnd,
	}
}

// Fleet is what one configuration says. It does not change; a reload makes a new one.
type Fleet struct {
	Targets           []Target // configured by id
	Discoveries       []*Discovery
	Shard             Shard   // the part of all instances that this process reads
	RequestsPerSecond float64 // per account and region
	PageSize          int
	SubtaskLimit      int
	MinInterval       time.Duration       // between the reads of an instance; 0 reads it in each scrape
	Credentials       map[string]Identity // by account
	Optional          []OptionalRead      // those that are configured
	RestoreMaxAge     time.Duration       // of the newest completed restore; 0 if any will do
	StatusWords       map[string]string   // as configured; the clients have them, too
}

// OptionalRead reads what explains backups. It is read slowly, and nothing waits for it.
type OptionalRead struct {
	Subject   string        // what is read, in words; two reads of one operation have different ones
	Operation string        // in the API's words
	Interval  time.Duration // between two reads of an instance
	// findTrigger returns the trigger: the id of the task that makes the read necessary; empty if there is none. A new trigger makes the read
	// due at once. If findTrigger is nil, every instance is read.
	findTrigger func(*health.Facts) string
	// await tells the limits of an instance that the first outcome may still come; nil if it changes no condition of another read.
	await func(*health.Limits)
	// read returns a function that applies the outcome to the limits of an instance.
	read func(ctx context.Context, t Target, now func() time.Time) (apply func(*health.Limits), err error)
}

// triggerOf returns the trigger of an instance's read, and whether the read is wanted. The facts are nil if there are none.
func (o OptionalRead) triggerOf(f *health.Facts) (trigger string, wanted bool) {
	if o.findTrigger == nil {
		return "", true
	}
	if f != nil {
		trigger = o.findTrigger(f)
	}
	return trigger, trigger != ""
}

// Identity says where the credentials of an account come from: *apiclient.Credentials.
type Identity interface {
	Provider() (name, before string)
}

type (
	instanceKey  struct{ regionID, instanceID string }
	laneKey      struct{ account, regionID string }
	discoveryKey struct{ account, regionID, tags string }
)
