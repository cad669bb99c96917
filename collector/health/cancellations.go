package health

import (
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// Cancellations is what ended backup tasks of an instance by hand: operations that canceled a task, or deleted its backup. Nil is unknown.
type Cancellations struct {
	ReadAt time.Time
	All    []apiclient.Operation
}

// Cancellation is why a task ended as canceled.
type Cancellation struct {
	OperationID string
	At          time.Time
	Deleted     bool // the operation deleted the backup
	Guessed     bool // the operation does not name the task: it canceled one at a time when only this one ran
}

// endsWithin is how long after an operation a task may end that it canceled.
const endsWithin = 15 * time.Minute

// Of returns why a task of a list ended as canceled; false if that is not known. An operation that names the task takes precedence
// over one that may have canceled it, and a later operation over an earlier one.
func (c *Cancellations) Of(task *Task, tasks []Task) (why Cancellation, known bool) {
	if c == nil || task.Status != apiclient.StatusCanceled {
		return why, false
	}
	for i := range c.All {
		o := &c.All[i]
		found := Cancellation{OperationID: o.ID, At: o.Start, Deleted: o.Type == apiclient.OperationDeleteBackup, Guessed: !o.Names(task.ID)}
		if !isEndedBy(task, o) || found.Guessed && !mayHaveCanceled(o, task, tasks) {
			continue
		}
		moreCertain, asCertain := why.Guessed && !found.Guessed, why.Guessed == found.Guessed
		if !known || moreCertain || asCertain && found.At.After(why.At) {
			why, known = found, true
		}
	}
	return why, known
}

// mayHaveCanceled reports whether an operation that does not name the task may still have canceled it: it names no other task of the list,
// and no other task ran. A deletion says nothing about what runs.
func mayHaveCanceled(o *apiclient.Operation, task *Task, tasks []Task) bool {
	namesOther := func(t Task) bool { return o.Names(t.ID) }
	return o.Type != apiclient.OperationDeleteBackup && !slices.ContainsFunc(tasks, namesOther) && ranAlone(task, tasks, o.Start)
}

// isEndedBy reports whether an operation took effect, and the task ended soon after it.
func isEndedBy(task *Task, o *apiclient.Operation) bool {
	took := o.Status == apiclient.StatusCompleted || o.Status == apiclient.StatusRunning || o.Status == apiclient.StatusPending
	until := o.Start
	if o.End.After(until) {
		until = o.End
	}
	const rounding = time.Second // one may be given in seconds, the other in milliseconds
	return took && !o.Start.IsZero() && task.Start != 0 && !task.Implausible && !o.Start.Before(task.Start.Time()) &&
		!task.End().Before(o.Start.Add(-rounding)) && !task.End().After(until.Add(endsWithin))
}

// ranAlone reports whether no other task ran at a time.
func ranAlone(task *Task, tasks []Task, at time.Time) bool {
	return !slices.ContainsFunc(tasks, func(t Task) bool {
		return t.ID != task.ID && !t.Start.Time().After(at) && (!t.Status.Ended() || !t.End().Before(at))
	})
}
