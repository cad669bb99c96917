package health

import (
	"math"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

const secondsPerDay = 24 * 60 * 60

// Policies is what starts backups of an instance by itself. Nil is unknown.
type Policies struct {
	ReadAt time.Time
	All    []apiclient.BackupPolicy
}

// ExpireDays returns how long backups last by the policy that keeps them shortest; NaN if unknown.
func (p *Policies) ExpireDays() float64 {
	shortest := math.NaN()
	if p == nil {
		return shortest
	}
	for _, one := range p.All {
		if !(one.ExpireDays >= shortest) { // also if shortest is unknown
			shortest = one.ExpireDays
		}
	}
	return shortest
}

// longestTimeout is the longest timeout of a policy that is believed: with an absurd one, no task would ever count as stuck.
const longestTimeout = 30 * secondsPerDay

// TimeoutSeconds returns the longest timeout of all policies; NaN if one policy does not say, or if it is longer than longestTimeout.
func (p *Policies) TimeoutSeconds() float64 {
	if p == nil || len(p.All) == 0 {
		return math.NaN()
	}
	longest := 0.0
	for _, one := range p.All {
		longest = max(longest, one.TimeoutSeconds) // NaN if one is
	}
	if longest > longestTimeout {
		return math.NaN()
	}
	return longest
}

// Restores is what was restored from backups of an instance. Nil is unknown.
type Restores struct {
	ReadAt       time.Time
	Count        map[apiclient.Status]int
	Last         time.Time // end, else start, of the newest completed one; zero if there is none
	LastDuration float64   // of it, in seconds; NaN if unknown
	Undated      bool      // a completed one has no time, or none that can be read: it may be newer than Last
}

// NewRestores sums up the restores that a read listed. One that ended after the read counts, but not as the newest.
func NewRestores(all []apiclient.Operation, readAt time.Time) *Restores {
	r := &Restores{ReadAt: readAt, Count: map[apiclient.Status]int{}, LastDuration: math.NaN()}
	for _, o := range all {
		r.Count[o.Status]++
		end := o.End
		if end.IsZero() {
			end = o.Start
		}
		r.Undated = r.Undated || o.Status == apiclient.StatusCompleted && end.IsZero()
		if o.Status == apiclient.StatusCompleted && end.After(r.Last) && !end.After(readAt.Add(ClockTolerance)) {
			r.Last, r.LastDuration = end, secondsBetween(o.Start, o.End)
		}
	}
	return r
}
