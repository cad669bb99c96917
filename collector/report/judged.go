package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// staleAfter is how old a collection may be until its instances are unknown.
const staleAfter = 5 * time.Minute

// judged is an instance as it is at the time of the report.
type judged struct {
	*fleet.InstanceResult
	at      time.Time
	stale   bool               // the collection is too old to say how the instance is
	health  *health.Health     // by the last complete read; nil before the first
	holding []health.Condition // by the last complete read, most urgent first
	rank    int                // of the most urgent condition
}

// judge judges every instance at a time, worst first.
func judge(r *fleet.Result, at time.Time) []judged {
	all, order := make([]judged, len(r.Instances)), byUrgency()
	for i := range r.Instances {
		one := &r.Instances[i]
		j := judged{InstanceResult: one, at: at, stale: at.Sub(r.At) > staleAfter, rank: len(order)}
		if one.Facts != nil {
			j.health = one.Facts.Judge(one.Limits, at)
			for rank, c := range order {
				if j.health.Conditions[c] {
					j.holding, j.rank = append(j.holding, c), min(j.rank, rank)
				}
			}
		}
		all[i] = j
	}
	slices.SortFunc(all, worstFirst)
	return all
}

func (j *judged) state() fleet.State {
	switch {
	case j.Err != nil || j.stale || j.health == nil:
		return fleet.Unknown
	case len(j.holding) > 0:
		return fleet.Unhealthy
	default:
		return fleet.Healthy
	}
}

// late returns how long ago the deadline passed; negative if it is still to come, 0 if there is none.
func (j *judged) late() time.Duration {
	if j.health == nil || j.health.Deadline.IsZero() {
		return 0
	}
	return j.at.Sub(j.health.Deadline)
}

// byUrgency returns every condition, most urgent first. Those that page at night come first, as in the alert rules.
func byUrgency() []health.Condition {
	return []health.Condition{
		health.Missing, health.Expiring, health.SubscriptionEnding, health.Overdue, health.FailingRepeatedly, health.Failing, health.Stuck,
		health.NoPolicy, health.Implausible, health.Shrunk, health.TablesFailed, health.RetentionTooShort, health.StatusUnknown,
		health.RestoreUntested,
	}
}

// worstFirst orders instances by state, then by the most urgent condition; the longest overdue first.
func worstFirst(a, b judged) int {
	return cmp.Or(
		cmp.Compare(a.state(), b.state()),
		cmp.Compare(a.rank, b.rank),
		cmp.Compare(max(0, b.late()), max(0, a.late())),
		cmp.Compare(a.Instance.RegionID, b.Instance.RegionID),
		cmp.Compare(a.Instance.InstanceID, b.Instance.InstanceID),
	)
}

// reasons says why the instance is not healthy, most urgent first.
func (j *judged) reasons() (all []why) {
	if text := j.unread(); text != "" {
		all = append(all, why{Text: text})
	}
	for _, c := range j.holding {
		if c != health.Failing || !j.health.Conditions[health.FailingRepeatedly] { // one sentence says both
			all = append(all, why{Condition: c, Text: printable(sentence(c, j.health, j.InstanceResult))})
		}
	}
	return all
}

// why is a sentence that says why an instance is not healthy.
type why struct {
	Condition health.Condition // empty if the instance could not be read
	Text      string
}

// unread says why the state is unknown; empty if it is known.
func (j *judged) unread() string {
	if j.state() != fleet.Unknown {
		return ""
	}
	why := "Not read yet"
	if j.Err != nil {
		why = "Cannot be read: " + summary(j.Reason())
	} else if j.stale {
		why = "Not scraped for more than 5 minutes"
	}
	if j.health == nil {
		return why + ". No earlier read is known."
	}
	return fmt.Sprintf("%s. The last complete read was at %s, %s ago.", why, clock(j.health.ReadAt), roughly(j.at.Sub(j.health.ReadAt)))
}
