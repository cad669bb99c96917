package health

import (
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

const (
	repeatedly        = 3 // failures in a row
	subscriptionAlert = 24 * time.Hour
)

// Health is everything known of an instance at a time: the facts of the newest read, and what is wrong. An unknown time is zero.
type Health struct {
	*Facts

	At         time.Time
	Conditions map[Condition]bool // without those that are unknown
	Deadline   time.Time          // when a newer good backup must have finished

	Restorable       int
	OldestRestorable time.Time
	RestorableUntil  time.Time // also zero if a restorable backup never expires
	SubscriptionEnd  time.Time // zero if unknown or not on subscription
}

// Judge decides what is wrong with an instance at a time. Nothing else decides.
func (f *Facts) Judge(l Limits, now time.Time) *Health {
	h := &Health{Facts: f, At: now, SubscriptionEnd: l.SubscriptionEnd}
	h.countRestorable()
	if !f.LastSuccess.IsZero() {
		h.Deadline = l.due(f.lastStart, f.LastSuccess)
	}
	overdue := !h.Deadline.IsZero() && now.After(h.Deadline)
	failing := f.ConsecutiveFailures > 0
	h.Conditions = map[Condition]bool{
		Overdue:           overdue,
		Missing:           h.Restorable == 0 && !f.firstRun && !now.Before(l.firstDue(now)),
		Failing:           failing,
		FailingRepeatedly: f.ConsecutiveFailures >= repeatedly,
		Stuck:             secondsBetween(f.RunningStart, now) > l.stuckAfter(f.LongestRun),
		Expiring:          !h.RestorableUntil.IsZero() && h.RestorableUntil.Sub(now) <= l.ExpiringWithin && (overdue || failing),
		RetentionTooShort: !f.LastSuccessExpire.IsZero() && f.LastSuccessExpire.Before(h.Deadline) ||
			!h.Deadline.IsZero() && h.Deadline.Sub(f.LastSuccess).Seconds() > secondsPerDay*l.Policies.ExpireDays(),
		Shrunk: f.BaselineBytes >= shrunkFloor && f.LastSuccessDataBytes < l.ShrunkBelow*f.BaselineBytes && !f.partialSize ||
			len(f.MissingDatabases) > 0,
		TablesFailed:       f.LackingTables.Total > 0,
		StatusUnknown:      f.LastBegun().Status == apiclient.StatusUnknown || f.UnknownTables.Total > 0,
		Implausible:        f.implausible || f.UnreadableTables.Total > 0,
		SubscriptionEnding: !l.SubscriptionEnd.IsZero() && l.SubscriptionEnd.Sub(now) < subscriptionAlert,
	}
	// Unknown: the policy, or the list of instances, has not been read yet and may change these.
	if l.PoliciesAwaited && h.Conditions[Stuck] {
		delete(h.Conditions, Stuck)
	}
	if l.PoliciesAwaited && !h.Conditions[RetentionTooShort] {
		delete(h.Conditions, RetentionTooShort)
	}
	if l.Unlisted && l.SubscriptionEnd.IsZero() {
		delete(h.Conditions, SubscriptionEnding)
	}
	if l.Policies != nil { // somebody may start backups by other means
		none := len(l.Policies.All) == 0
		h.Conditions[NoPolicy] = none && (overdue || h.Conditions[Missing] && f.LastSuccess.IsZero())
	}
	if l.Restores != nil && l.RestoreMaxAge > 0 {
		if untested := now.After(l.restoreDue(now)); !untested || !l.Restores.Undated {
			h.Conditions[RestoreUntested] = untested
		}
	}
	return h
}

// countRestorable sets Restorable, OldestRestorable and RestorableUntil.
func (h *Health) countRestorable() {
	forever := false
	for i := range h.Tasks {
		t := &h.Tasks[i]
		if !t.Restorable(h.At) {
			continue
		}
		h.Restorable++
		if end := t.End(); !end.IsZero() && (h.OldestRestorable.IsZero() || end.Before(h.OldestRestorable)) {
			h.OldestRestorable = end
		}
		forever = forever || t.Expire == 0
		if expire := t.Expire.Time(); expire.After(h.RestorableUntil) {
			h.RestorableUntil = expire
		}
	}
	if forever {
		h.RestorableUntil = time.Time{}
	}
}

// Holding returns the conditions that hold.
func (h *Health) Holding() (all []Condition) {
	for _, c := range Conditions() {
		if h.Conditions[c] {
			all = append(all, c)
		}
	}
	return all
}
