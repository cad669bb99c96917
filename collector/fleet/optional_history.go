package fleet

import (
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

const (
	// validIntervals is for how many intervals the outcome of a read stays valid.
	validIntervals = 3
	// attemptsPerInterval is how many times in an interval a failed read is repeated.
	attemptsPerInterval = 4
)

// optionalHistory is what is known of an optional read of one instance. Only history uses it.
type optionalHistory struct {
	tried   time.Time // end of the last read
	trigger string    // of the last read
	at      time.Time // end of the last complete read
	err     error     // of the last read
	apply   func(*health.Limits)
}

// due reports whether the instance is to be read, with a trigger.
func (h *optionalHistory) due(trigger string, interval time.Duration, now time.Time) bool {
	if h.err != nil {
		interval /= attemptsPerInterval
	}
	return h.tried.IsZero() || trigger != h.trigger || now.Sub(h.tried) >= interval || now.Before(h.tried)
}

// observe takes in the outcome of a read with a trigger.
func (h *optionalHistory) observe(trigger string, apply func(*health.Limits), err error, now time.Time) {
	h.trigger, h.tried, h.err = trigger, now, err
	if err == nil {
		h.at, h.apply = now, apply
	}
}

// addTo applies the last complete read to the limits, unless it is too old. Before the first, the limits wait for it, but not for longer
// than an interval after the first read of the instance's backups.
func (h *optionalHistory) addTo(l *health.Limits, o OptionalRead, firstRead, now time.Time) {
	early := firstRead.IsZero() || now.Sub(firstRead) < o.Interval
	switch {
	case h.apply != nil && now.Sub(h.at) <= validIntervals*o.Interval:
		h.apply(l)
	case h.apply == nil && o.await != nil && early && (h.err == nil || isTransient(apiclient.ReasonOf(h.err))):
		o.await(l)
	}
}

// isTransient reports whether a failure may end by itself, and may affect all instances.
func isTransient(reason apiclient.Reason) bool {
	return slices.Contains([]apiclient.Reason{
		apiclient.ReasonTimeout, apiclient.ReasonThrottled, apiclient.ReasonServerError, apiclient.ReasonNetwork,
	}, reason)
}

// optionalErrors counts failed reads by operation and reason.
type optionalErrors map[string]map[apiclient.Reason]int

// add counts a failed read and reports whether it is the first for its reason.
func (e optionalErrors) add(operation string, reason apiclient.Reason) (first bool) {
	if e[operation] == nil {
		e[operation] = map[apiclient.Reason]int{}
	}
	e[operation][reason]++
	return e[operation][reason] == 1
}

// failures returns why reads of instances failed.
func failures(subject string, instances []*optionalHistory) (all []OptionalFailure) {
	for _, reason := range apiclient.Reasons() {
		f := OptionalFailure{Subject: subject, Reason: reason}
		for _, h := range instances {
			if reasonOf(h.err) == reason {
				f.Instances++
				f.Err = h.err
			}
		}
		if f.Instances > 0 {
			all = append(all, f)
		}
	}
	return all
}
