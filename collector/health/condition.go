// Package health decides what is wrong with the backups of an instance. It is pure: its input is one read, limits and the time.
package health

// Condition is something that is wrong with an instance. It is the label `condition` of the metrics.
type Condition string

// The conditions.
const (
	Overdue            Condition = "overdue"             // the deadline for a newer good backup has passed
	Missing            Condition = "missing"             // nothing is restorable
	Failing            Condition = "failing"             // a task ended without a backup since the newest good backup
	FailingRepeatedly  Condition = "failing_repeatedly"  // three or more did
	Stuck              Condition = "stuck"               // a task has been running too long: see Limits
	Expiring           Condition = "expiring"            // the last restorable backup expires soon, and no new one replaces it
	RetentionTooShort  Condition = "retention_too_short" // backups expire before the next one is due
	Shrunk             Condition = "shrunk"              // the newest good backup holds much less than those before it
	TablesFailed       Condition = "tables_failed"       // the newest good backup lacks tables whose subtask failed or was canceled
	StatusUnknown      Condition = "status_unknown"      // the newest begun task or a subtask of the newest good backup has an unknown status
	Implausible        Condition = "implausible"         // a task contradicts itself or the clock, or has a value that cannot be read
	SubscriptionEnding Condition = "subscription_ending" // the subscription ends soon; the instance and its backups are released later
	NoPolicy           Condition = "no_policy"           // no policy, and the newest good backup is late or absent; unknown unless read
	RestoreUntested    Condition = "restore_untested"    // no restore completed within Limits.RestoreMaxAge; unknown unless restores are read
)

// Conditions returns every condition.
func Conditions() []Condition {
	return []Condition{
		Overdue, Missing, Failing, FailingRepeatedly, Stuck, Expiring, RetentionTooShort, Shrunk, TablesFailed, StatusUnknown, Implausible,
		SubscriptionEnding, NoPolicy, RestoreUntested,
	}
}
