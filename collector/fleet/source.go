package fleet

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// Source finds instances to watch.
type Source interface {
	// Instances lists the instances that exist now. The error of a list that is not complete comes with what was listed.
	Instances(ctx context.Context) (Found, error)
}

// Found is what a source lists.
type Found struct {
	Instances []FoundInstance
	Excluded  []string              // instances that exist, but are excluded by the configuration
	LeftOut   map[LeftOutReason]int // instances that are not watched
}

// FoundInstance is an instance that a source lists.
type FoundInstance struct {
	InstanceID      string
	Created         time.Time // zero if unknown
	SubscriptionEnd time.Time // zero if unknown, and if the instance is not on subscription
	Tags            map[string]string
}

// LeftOutReason says why an instance that was found is not watched. It is the label `reason` of the metric.
type LeftOutReason string

// The reasons.
const (
	LeftOutRunMode LeftOutReason = "run_mode" // only shared-nothing instances can have backups
	LeftOutStatus  LeftOutReason = "status"   // it does not exist yet, or not any more
	LeftOutExclude LeftOutReason = "excluded" // by the configuration
)

// LeftOutReasons returns every reason.
func LeftOutReasons() []LeftOutReason {
	return []LeftOutReason{LeftOutRunMode, LeftOutStatus, LeftOutExclude}
}

// InstanceLister lists the instances of a region: an *apiclient.Client.
type InstanceLister interface {
	Instances(ctx context.Context, tags map[string]string) iter.Seq2[apiclient.Instance, error]
}

// regionSource finds the instances of a region that carry certain tags, and belong to a shard.
type regionSource struct {
	discovery config.Discovery
	shard     Shard
	lister    InstanceLister
}

// Instances implements Source.
func (s regionSource) Instances(ctx context.Context) (Found, error) {
	found := Found{LeftOut: map[LeftOutReason]int{}}
	for i, err := range s.lister.Instances(ctx, s.discovery.Tags) {
		switch {
		case err != nil:
			return found, err
		case i.RegionID != "" && !strings.EqualFold(i.RegionID, s.discovery.RegionID) || !s.shard.Has(s.discovery.Instance(i.InstanceID)):
		case excludes(s.discovery.Exclude, i.InstanceID, i.Tags):
			found.LeftOut[LeftOutExclude]++
			found.Excluded = append(found.Excluded, i.InstanceID)
		case slices.Contains([]string{"shared_data", "lakehouse"}, strings.ToLower(i.RunMode)):
			found.LeftOut[LeftOutRunMode]++
		case slices.Contains(statesWithoutInstance(), strings.ToLower(i.Status)):
			found.LeftOut[LeftOutStatus]++
		default:
			found.Instances = append(found.Instances, FoundInstance{i.InstanceID, i.Created, i.SubscriptionEnd, i.Tags})
		}
	}
	return found, nil
}

// statesWithoutInstance returns the states of DescribeInstances in which an instance does not exist yet, or not any more. An instance in
// any other state, also an unknown one, is watched.
func statesWithoutInstance() []string {
	return []string{"not_init", "creating", "agent_creating", "creating_failed", "deleting", "deleted", "deleted_with_error"}
}

func excludes(e config.Exclude, instanceID string, tags map[string]string) bool {
	if slices.Contains(e.InstanceIDs, instanceID) {
		return true
	}
	for key, value := range e.Tags {
		if carried, has := tags[key]; has && carried == value {
			return true
		}
	}
	return false
}
