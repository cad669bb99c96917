// Package report says what a scrape found to a person or a script: the page, the table and JSON.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"starrocks_backup_exporter/collector/fleet"
	"starrocks_backup_exporter/collector/health"
)

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// roughly returns a duration in its two largest units.
func roughly(d time.Duration) string {
	d = max(0, d)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	default:
		return fmt.Sprintf("%d s", seconds)
	}
}

// printable replaces what could move the cursor or the columns of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// worstFirst returns the instances, worst first.
func worstFirst(r *fleet.Result) []*fleet.InstanceResult {
	sorted := make([]*fleet.InstanceResult, len(r.Instances))
	for i := range r.Instances {
		sorted[i] = &r.Instances[i]
	}
	slices.SortFunc(sorted, func(a, b *fleet.InstanceResult) int {
		return cmp.Or(
			cmp.Compare(a.State(), b.State()),
			cmp.Compare(urgency(a), urgency(b)),
			cmp.Compare(a.Instance.RegionID, b.Instance.RegionID),
			cmp.Compare(a.Instance.InstanceID, b.Instance.InstanceID),
		)
	})
	return sorted
}

// urgency returns the rank of the most urgent condition that holds. Those that page at night come first, as in the alert rules.
func urgency(r *fleet.InstanceResult) int {
	order := []health.Condition{
		health.Missing, health.Expiring, health.SubscriptionEnding, health.Overdue, health.FailingRepeatedly, health.Failing, health.Stuck,
		health.Implausible, health.Shrunk, health.TablesFailed, health.RetentionTooShort, health.StatusUnknown,
	}
	return slices.IndexFunc(order, func(c health.Condition) bool { return r.Health != nil && r.Health.Conditions[c] })
}

// warnings says what is wrong with the reading itself.
func warnings(r *fleet.Result) (all []string) {
	for _, t := range r.RequestTimes {
		if t.TooLong(r.Deadline) {
			all = append(
				all,
				fmt.Sprintf("The scrape deadline is too short: the %d requests for %s (account %s) take %s at the exporter's own limit, "+
					"and this scrape had %s. Some instances time out, different ones in each scrape. What helps: %s.",
					t.Requests, t.RegionID, t.Account, roughly(t.Time), roughly(r.Deadline), fleet.TooLongHint),
			)
		}
	}
	for i := range r.Instances {
		one := &r.Instances[i]
		if needed, never := r.NeverFits(one); never {
			all = append(all, fmt.Sprintf("%s (%s) can never be read in time: it takes about %d requests and %s, and this scrape had %s.",
				one.Instance.InstanceID, one.Instance.RegionID, one.Totals.Requests, roughly(needed), roughly(r.Deadline)))
		}
	}
	for _, c := range r.Credentials {
		if c.Before != "" {
			all = append(all, fmt.Sprintf("The credentials of account %s now come from %s; before, they came from %s. "+
				"Its identity may not see the same instances.", c.Account, c.Provider, c.Before))
		}
	}
	for _, d := range r.Discoveries {
		if d.ReadsEach {
			all = append(all, fmt.Sprintf("The backups of %s (account %s) cannot be listed at once, so each instance is read on its own for now. "+
				"The log says why.", d.RegionID, d.Account))
		}
		switch {
		case d.LastSuccess.IsZero():
			text := fmt.Sprintf(
				"The instances of %s (account %s) have not been listed yet. Instances found only there are not watched.",
				d.RegionID,
				d.Account,
			)
			if d.Err != nil {
				text += " " + d.Err.Error()
			}
			all = append(all, text)
		case d.Err != nil:
			all = append(all, fmt.Sprintf("The instances of %s (account %s) cannot be listed. Known instances are still watched. %v",
				d.RegionID, d.Account, d.Err))
		}
	}
	return all
}
