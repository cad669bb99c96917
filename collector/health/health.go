package health

import (
	"time"

	"starrocks_backup_exporter/apiclient"
)

// Health is everything known of an instance from one read. An unknown time is zero, an unknown number NaN.
// Sizes are bytes, durations seconds.
type Health struct {
	At         time.Time // of the read
	Conditions map[Condition]bool
	Tasks      map[apiclient.Status]int

	LastStatus          apiclient.Status // empty without any task
	LastStart           time.Time
	RunningStart        time.Time // of the running task that started first
	ConsecutiveFailures int       // tasks that ended without a backup since the newest success
	LastFailure         time.Time

	LastSuccess          time.Time
	LastSuccessDuration  float64
	LastSuccessExpire    time.Time
	LastSuccessDiskBytes float64
	LastSuccessDataBytes float64
	BaselineBytes        float64 // what Shrunk compares LastSuccessDataBytes with
	Deadline             time.Time

	Restorable       int
	OldestRestorable time.Time
	RestorableUntil  time.Time // also zero if a restorable backup never expires

	Databases       []Database               // of the newest success, largest first
	Tables          []Table                  // of the newest success, largest first
	TablesDropped   int                      // left out of Tables by the limit
	FailedTables    []Table                  // of the newest ended task, by name
	SubTasks        map[apiclient.Status]int // of the newest task; nil if it lists none
	Snapshot        *apiclient.InstanceSnapshot
	SubscriptionEnd time.Time // zero if unknown or not on subscription
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
