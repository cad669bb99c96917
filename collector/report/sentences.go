package report

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// sentence says with its numbers why a condition holds.
func sentence(c health.Condition, h *health.Health, r *fleet.InstanceResult) string {
	say, known := map[health.Condition]func(*health.Health, *fleet.InstanceResult) string{
		health.Overdue:            overdue,
		health.Missing:            missing,
		health.Failing:            failing,
		health.FailingRepeatedly:  failing,
		health.Stuck:              stuck,
		health.Expiring:           expiring,
		health.RetentionTooShort:  retentionTooShort,
		health.Shrunk:             shrunk,
		health.TablesFailed:       tablesFailed,
		health.StatusUnknown:      statusUnknown,
		health.Implausible:        implausible,
		health.SubscriptionEnding: subscriptionEnding,
		health.NoPolicy:           noPolicy,
		health.RestoreUntested:    restoreUntested,
	}[c]
	if !known {
		return string(c)
	}
	return say(h, r)
}

// when returns a time, and how far from now it is.
func when(h *health.Health, t time.Time) string {
	if t.After(h.At) {
		return fmt.Sprintf("%s (in %s)", clock(t), roughly(t.Sub(h.At)))
	}
	return fmt.Sprintf("%s (%s ago)", clock(t), roughly(h.At.Sub(t)))
}

func overdue(h *health.Health, r *fleet.InstanceResult) string {
	by := "max_age " + roughly(r.Limits.MaxAge)
	if r.Limits.MaxAge == 0 || !h.Deadline.Equal(h.LastSuccess.Add(r.Limits.MaxAge)) {
		by = fmt.Sprintf("schedule %s, grace %s", r.Instance.Schedule, roughly(r.Limits.Grace))
	}
	return fmt.Sprintf("Overdue by %s: due by %s (%s), but the newest good backup ended %s.",
		roughly(h.At.Sub(h.Deadline)), clock(h.Deadline), by, when(h, h.LastSuccess))
}

func missing(h *health.Health, _ *fleet.InstanceResult) string {
	switch {
	case len(h.Tasks) == 0:
		return "Nothing to restore: the instance has no backup task."
	case h.LastSuccess.IsZero():
		return fmt.Sprintf("Nothing to restore: the API lists %s, but no good backup.", plural(len(h.Tasks), "task"))
	default:
		return fmt.Sprintf("Nothing to restore: the newest good backup, of %s, expired %s.", clock(h.LastSuccess), when(h, h.LastSuccessExpire))
	}
}

// failing describes the tasks that ended without a backup since the newest success.
func failing(h *health.Health, r *fleet.InstanceResult) string {
	var failed []*health.Task
	for i := range h.Tasks {
		t := &h.Tasks[i]
		if t.Status.EndedWithoutBackup() && len(failed) < h.ConsecutiveFailures {
			failed = append(failed, t)
		}
	}
	if len(failed) == 0 {
		return "The last task that ended produced no backup."
	}
	newest, oldest := failed[0], failed[len(failed)-1]
	if len(failed) == 1 {
		return fmt.Sprintf("The last task that ended produced no backup: %s %s.", newest.Status, when(h, newest.End())) +
			cancellation("It", newest, h, r)
	}
	return fmt.Sprintf("The last %d tasks that ended produced no backup. The first of them ended %s. Newest: %s, %s.",
		len(failed), when(h, oldest.End()), newest.Status, when(h, newest.End())) + cancellation("The newest", newest, h, r)
}

// cancellation says what canceled a task; empty if that is not known.
func cancellation(subject string, t *health.Task, h *health.Health, r *fleet.InstanceResult) string {
	c, known := r.Limits.Cancellations.Of(t, h.Tasks)
	operation := "operation " + cmp.Or(c.OperationID, "without id")
	switch {
	case !known:
		return ""
	case c.Guessed:
		return fmt.Sprintf(" %s was probably canceled by hand: %s canceled a backup at %s, and no other task was running then.",
			subject, operation, clock(c.At))
	case c.Deleted:
		return fmt.Sprintf(" Its backup was deleted by hand at %s (%s).", clock(c.At), operation)
	default:
		return fmt.Sprintf(" %s was canceled by hand at %s (%s).", subject, clock(c.At), operation)
	}
}

func stuck(h *health.Health, r *fleet.InstanceResult) string {
	longest := "no run has completed to compare with"
	if h.LongestRun > 0 {
		longest = "the longest completed run took " + roughly(durationOf(h.LongestRun))
	}
	limit := "the longer of " + roughly(r.Limits.StuckAfter) + " and three times the longest completed run"
	if timeout := r.Limits.Policies.TimeoutSeconds(); !math.IsNaN(timeout) {
		limit = fmt.Sprintf("%s plus the longer of the policy's timeout (%s) and the longest completed run",
			roughly(health.ClockTolerance), roughly(durationOf(timeout)))
	}
	return fmt.Sprintf("Stuck: a task has been running for %s, since %s; %s (limit: %s).",
		roughly(h.At.Sub(h.RunningStart)), clock(h.RunningStart), longest, limit)
}

func expiring(h *health.Health, _ *fleet.InstanceResult) string {
	return fmt.Sprintf("The last restorable backup expires %s, and no newer one has replaced it.", when(h, h.RestorableUntil))
}

func retentionTooShort(h *health.Health, r *fleet.InstanceResult) string {
	if !h.LastSuccessExpire.Before(h.Deadline) || h.LastSuccessExpire.IsZero() {
		return fmt.Sprintf("Retention is too short: the backup policy keeps backups for %g d, "+
			"but the next backup may finish up to %s after the newest one.",
			r.Limits.Policies.ExpireDays(), roughly(h.Deadline.Sub(h.LastSuccess)))
	}
	return fmt.Sprintf("Retention is too short: the newest good backup expires %s, which is %s before the next one is due.",
		when(h, h.LastSuccessExpire), roughly(h.Deadline.Sub(h.LastSuccessExpire)))
}

func shrunk(h *health.Health, r *fleet.InstanceResult) string {
	text := ""
	if h.LastSuccessDataBytes < r.Limits.ShrunkBelow*h.BaselineBytes {
		text = fmt.Sprintf("Shrunk from %s to %s (%.0f %%): the newest good backup holds less than %.0f %% of the largest of the seven "+
			"before it.",
			sizeInWords(h.BaselineBytes), sizeInWords(h.LastSuccessDataBytes), 100*h.LastSuccessDataBytes/h.BaselineBytes, 100*r.Limits.ShrunkBelow)
	}
	if n := len(h.MissingDatabases); n > 0 {
		if text != "" {
			text += " "
		}
		text += fmt.Sprintf("The newest good backup lacks %s that the one before it had: %s.", plural(n, "database"),
			enumerate(h.MissingDatabases, n))
	}
	return text
}

func tablesFailed(h *health.Health, _ *fleet.InstanceResult) string {
	return fmt.Sprintf("The newest good backup lacks %s that failed%s.", plural(h.LackingTables.Total, "table"), namesOf(h.LackingTables))
}

// namesOf names the first tables of a list behind a colon.
func namesOf(tables health.TableList) string {
	names := make([]string, len(tables.Named))
	for i, t := range tables.Named {
		names[i] = t.Database + "." + t.Name
	}
	if len(names) == 0 { // backups.subtask_limit is 0
		return ""
	}
	return ": " + enumerate(names, tables.Total)
}

func statusUnknown(h *health.Health, _ *fleet.InstanceResult) string {
	last := h.LastBegun()
	if last.Status != apiclient.StatusUnknown {
		return fmt.Sprintf("In the newest good backup, %s %s a status that the exporter does not know, such as %q%s. "+
			"Map it in backups.status_words.",
			plural(h.UnknownTables.Total, "table"), has(h.UnknownTables.Total), h.UnknownTableWord, namesOf(h.UnknownTables))
	}
	return fmt.Sprintf("The newest task has the status %q, which the exporter does not know. Map it in backups.status_words.",
		last.StatusWord)
}

func implausible(h *health.Health, _ *fleet.InstanceResult) string {
	more := -1
	for i := range h.Tasks {
		if h.Tasks[i].Implausible {
			more++
		}
	}
	for i := range h.Tasks {
		t := &h.Tasks[i]
		if !t.Implausible {
			continue
		}
		why := "has a time or size that cannot be true or cannot be read"
		switch {
		case t.Status.Ended() && t.Finish != 0 && t.Finish < t.Start:
			why = fmt.Sprintf("finished at %s, before it started at %s", clock(t.Finish.Time()), clock(t.Start.Time()))
		case t.Status.Ended() && t.End().After(h.ReadAt):
			why = fmt.Sprintf("finished in the future, at %s", clock(t.End()))
		case t.Start.Time().After(h.ReadAt):
			why = fmt.Sprintf("started in the future, at %s", clock(t.Start.Time()))
		}
		text := fmt.Sprintf("Task %s is implausible and does not count as a backup: it %s.", t.ID, why)
		if more > 0 {
			text += fmt.Sprintf(" %s more%s implausible, too.", plural(more, "task"), are(more))
		}
		return text
	}
	if t := h.Undated(); t != nil {
		return fmt.Sprintf("Task %s is implausible: its status is %s, but it has no time. It may be newer than all others.", t.ID, t.Status)
	}
	return fmt.Sprintf("In the newest good backup, %s %s a time or size that cannot be read%s.",
		plural(h.UnreadableTables.Total, "table"), has(h.UnreadableTables.Total), namesOf(h.UnreadableTables))
}

func subscriptionEnding(h *health.Health, _ *fleet.InstanceResult) string {
	const releasedAfter = 7 * 24 * time.Hour
	verb := "ends"
	if h.SubscriptionEnd.Before(h.At) {
		verb = "ended"
	}
	return fmt.Sprintf("The subscription %s %s. The instance and its backups are released at %s.",
		verb, when(h, h.SubscriptionEnd), clock(h.SubscriptionEnd.Add(releasedAfter)))
}

func noPolicy(h *health.Health, _ *fleet.InstanceResult) string {
	if h.LastSuccess.IsZero() {
		return "No backup policy: no backup starts automatically, and there is no good backup."
	}
	return fmt.Sprintf("No backup policy: no backup starts automatically, and the newest good one ended %s.", when(h, h.LastSuccess))
}

func restoreUntested(h *health.Health, r *fleet.InstanceResult) string {
	limit := roughly(r.Limits.RestoreMaxAge)
	if r.Limits.Restores == nil || r.Limits.Restores.Last.IsZero() {
		return fmt.Sprintf("Restore untested: no completed restore is known (limit: %s).", limit)
	}
	return fmt.Sprintf("Restore untested: the newest restore completed %s (limit: %s).", when(h, r.Limits.Restores.Last), limit)
}

func durationOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
