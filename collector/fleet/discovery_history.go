package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

const (
	// shrinksToBelieve is how many lists in a row must lack most of the known instances, for at least a refresh interval, before those
	// count as released: an API that answers "none" instead of "not allowed" must not end every alert.
	shrinksToBelieve = 3
	// listFailuresTolerated is how many lists of a region's backups in a row may fail before each instance is read on its own, for
	// as long as retryListAfter.
	listFailuresTolerated = 3
	retryListAfter        = time.Hour
)

// discoveryHistory is what is known of a discovery from all its lists. Only history uses it.
type discoveryHistory struct {
	result     DiscoveryResult
	instances  []FoundInstance // by id
	listed     []FoundInstance // by the last complete list
	refreshing bool
	outdated   bool             // since a reload: the next list does not wait for the interval
	reason     apiclient.Reason // why the last list of instances failed; empty if it did not
	shrinks    int              // lists of instances in a row that lack most of the known ones
	shrunkAt   time.Time        // when the first of them came

	listFailures int       // of backups, in a row
	retryList    time.Time // when a list of backups is tried again
}

func newDiscoveryHistory(k discoveryKey) *discoveryHistory {
	return &discoveryHistory{result: DiscoveryResult{
		Account: k.account, RegionID: k.regionID, Tags: k.tags, LeftOut: map[LeftOutReason]int{}, Errors: map[apiclient.Reason]int{},
	}}
}

// copyResult returns what is known, independent of what comes later.
func (h *discoveryHistory) copyResult() DiscoveryResult {
	r := h.result
	r.Instances, r.LeftOut, r.Errors = len(h.instances), maps.Clone(r.LeftOut), maps.Clone(r.Errors)
	return r
}

// beginRefresh reports whether the instances are to be listed now, by the caller, who ends it by setting refreshing to false.
func (h *discoveryHistory) beginRefresh(interval time.Duration, now time.Time) bool {
	if h.refreshing || !h.outdated && !h.result.LastSuccess.IsZero() && now.Sub(h.result.LastSuccess) < interval {
		return false
	}
	h.refreshing = true
	return true
}

// observe takes in a list of instances. It returns the reason why the list before failed, if it did; result.Err is why this one failed.
// A list that failed or that lacks most of the known instances removes none.
func (h *discoveryHistory) observe(f Found, err error, interval time.Duration, now time.Time) (before apiclient.Reason) {
	if lacking := h.lacking(f); err == nil && 2*lacking > len(h.listed) {
		if h.shrinks++; h.shrinks == 1 {
			h.shrunkAt = now
		}
		if h.shrinks < shrinksToBelieve || now.Sub(h.shrunkAt) < interval {
			err = &apiclient.Error{Operation: "DescribeInstances", Reason: apiclient.ReasonBadResponse, Err: fmt.Errorf(
				"the list lacks %d of the %d known instances; it counts after %d such lists in a row over at least %v",
				lacking, len(h.listed), shrinksToBelieve, model.Duration(interval))}
		}
	} else {
		h.shrinks = 0
	}
	before, h.reason, h.result.Err = h.reason, reasonOf(err), err
	if err != nil {
		h.result.Errors[h.reason]++
		f.Instances = append(f.Instances, h.instances...) // what was listed now comes first
	} else {
		h.shrinks, h.listed, h.outdated = 0, slices.Clone(f.Instances), false
		h.result.LastSuccess, h.result.LeftOut = now, f.LeftOut
	}
	slices.SortStableFunc(f.Instances, func(a, b FoundInstance) int { return cmp.Compare(a.InstanceID, b.InstanceID) })
	h.instances = slices.CompactFunc(f.Instances, func(a, b FoundInstance) bool { return a.InstanceID == b.InstanceID })
	return before
}

// lacking returns how many instances of the last complete list another one lacks. As many others do not replace them: the credentials may
// belong to another account.
func (h *discoveryHistory) lacking(f Found) (n int) {
	found := make(map[string]bool, len(f.Instances)+len(f.Excluded))
	for _, i := range f.Instances {
		found[i.InstanceID] = true
	}
	for _, id := range f.Excluded {
		found[id] = true
	}
	for _, i := range h.listed {
		if !found[i.InstanceID] {
			n++
		}
	}
	return n
}

// readsEach reports whether the list of the region's backups is not used for now.
func (h *discoveryHistory) readsEach(now time.Time) bool {
	if h.result.ReadsEach && !now.Before(h.retryList) {
		h.tryList()
	}
	return h.result.ReadsEach
}

func (h *discoveryHistory) tryList() { h.result.ReadsEach, h.listFailures = false, 0 }

// listSucceeded takes in a complete list of backups.
func (h *discoveryHistory) listSucceeded(requests int, took time.Duration) {
	if !h.result.ReadsEach {
		h.listFailures, h.result.ListRequests, h.result.ListTime = 0, requests, took
	}
}

// listFailed takes in a list of backups that failed or lacks something. It reports whether that ends its use for now: at once if the
// failure is permanent, else after some in a row.
func (h *discoveryHistory) listFailed(permanent bool, now time.Time) (givenUp bool) {
	if h.result.ReadsEach {
		return false
	}
	h.listFailures++
	if permanent || h.listFailures >= listFailuresTolerated {
		h.result.ReadsEach, h.retryList = true, now.Add(retryListAfter)
		h.result.ListRequests, h.result.ListTime = 0, 0
	}
	return h.result.ReadsEach
}
