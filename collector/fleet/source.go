package fleet

import (
	"context"
	"iter"
	"slices"
	"strings"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// Source finds instances to watch.
type Source interface {
	// Instances lists the instances that exist now. The error of a list that is not complete comes with what was listed.
	Instances(ctx context.Context) (Found, error)
}

// Found is what a source lists.
type Found struct {
	InstanceIDs []string
	LeftOut     map[LeftOutReason]int // instances that are not watched
}

// LeftOutReason says why an instance that was found is not watched. It is the label `reason` of the metric.
type LeftOutReason string

// The reasons.
const (
	LeftOutRunMode LeftOutReason = "run_mode" // only shared-nothing instances can have backups
	LeftOutStatus  LeftOutReason = "status"   // it does not exist yet, or not any more
)

// LeftOutReasons returns every reason.
func LeftOutReasons() []LeftOutReason { return []LeftOutReason{LeftOutRunMode, LeftOutStatus} }

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
		case i.RegionID != "" && i.RegionID != s.discovery.RegionID || !s.shard.Has(s.discovery.Instance(i.InstanceID)):
		case slices.Contains([]string{"shared_data", "lakehouse"}, strings.ToLower(i.RunMode)):
			found.LeftOut[LeftOutRunMode]++
		case slices.Contains([]string{"creating", "creating_failed", "deleting", "deleted"}, strings.ToLower(i.Status)):
			found.LeftOut[LeftOutStatus]++
		default:
			found.InstanceIDs = append(found.InstanceIDs, i.InstanceID)
		}
	}
	return found, nil
}
