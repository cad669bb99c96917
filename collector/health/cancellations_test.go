package health

import (
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// What canceled a task is said only where the operation names it, or canceled a backup while it alone ran and soon ended.
func TestCancellationOf(t *testing.T) {
	const id, other = "bt-12sui21312dd", "bt-another-one"
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	canceled := Task{ID: id, Status: apiclient.StatusCanceled, Start: InstantOf(at(0)), Finish: InstantOf(at(60))}
	before := Task{ID: other, Status: apiclient.StatusCompleted, Start: InstantOf(at(-60)), Finish: InstantOf(at(-20))}
	beside := before
	beside.Start, beside.Finish = InstantOf(at(30)), InstantOf(at(90))
	operation := func(minute int, kind, detail string) apiclient.Operation {
		return apiclient.Operation{
			ID: "op-1", Type: kind, Status: apiclient.StatusCompleted, Start: at(minute), End: at(minute + 1), Detail: detail,
		}
	}
	const cancels, deletes = apiclient.OperationCancelBackup, apiclient.OperationDeleteBackup
	naming := func(minute, until int, status apiclient.Status) apiclient.Operation {
		o := operation(minute, cancels, id)
		o.End, o.Status = at(until), status
		return o
	}
	timeless := operation(55, cancels, id)
	timeless.Start = time.Time{}
	for name, c := range map[string]struct {
		operation apiclient.Operation
		tasks     []Task
		want      string
	}{
		"names it":                    {operation(55, cancels, id), []Task{canceled, beside, before}, "named"},
		"deletes it":                  {operation(55, deletes, id), []Task{canceled, before}, "deleted"},
		"while it alone ran":          {operation(55, cancels, "done"), []Task{canceled, before}, "guessed"},
		"as it ended":                 {operation(60, cancels, ""), []Task{canceled, before}, "guessed"},
		"while two ran":               {operation(55, cancels, ""), []Task{canceled, beside}, ""},
		"names another":               {operation(55, cancels, other), []Task{canceled, before}, ""},
		"names what is not listed":    {operation(55, cancels, other), []Task{canceled}, "guessed"},
		"deletes some backup":         {operation(55, deletes, ""), []Task{canceled, before}, ""},
		"deletes it later":            {operation(90, deletes, id), []Task{canceled, before}, ""},
		"long before it ended":        {operation(10, cancels, id), []Task{canceled, before}, ""},
		"before it began":             {operation(-1, cancels, id), []Task{canceled, before}, ""},
		"after it ended":              {operation(61, cancels, ""), []Task{canceled, before}, ""},
		"at no time":                  {timeless, []Task{canceled}, ""},
		"takes long":                  {naming(10, 50, "completed"), []Task{canceled}, "named"},
		"still runs":                  {naming(55, 0, "running"), []Task{canceled}, "named"},
		"failed":                      {naming(55, 56, "canceled"), []Task{canceled}, ""},
		"ended in a way nobody knows": {naming(55, 56, "unknown"), []Task{canceled}, ""},
		"of a task that runs elsewhere": {
			operation(55, cancels, ""), []Task{canceled, {ID: other, Status: "running", Start: InstantOf(at(20))}}, "",
		},
	} {
		got, known := (&Cancellations{All: []apiclient.Operation{c.operation}}).Of(&c.tasks[0], c.tasks)
		words := map[bool]string{true: "named"}[known]
		switch {
		case got.Guessed:
			words = "guessed"
		case got.Deleted:
			words = "deleted"
		}
		if words != c.want || known != (c.want != "") || known && (got.OperationID != "op-1" || !got.At.Equal(c.operation.Start)) {
			t.Errorf("%s: %+v, %v; want %q", name, got, known, c.want)
		}
	}
}

// A name outweighs a time, and the last of several operations counts. Only a canceled task has been canceled.
func TestWhichCancellationCounts(t *testing.T) {
	task := Task{ID: "bt-12sui21312dd", Status: apiclient.StatusCanceled, Start: InstantOf(noon), Finish: InstantOf(noon.Add(time.Hour))}
	c := &Cancellations{}
	for minute, detail := range map[int]string{51: "", 52: task.ID, 53: task.ID, 54: ""} {
		c.All = append(c.All, apiclient.Operation{
			Type: apiclient.OperationCancelBackup, Status: apiclient.StatusCompleted, Detail: detail,
			Start: noon.Add(time.Duration(minute) * time.Minute),
		})
	}
	if got, _ := c.Of(&task, []Task{task}); got.Guessed || !got.At.Equal(noon.Add(53*time.Minute)) {
		t.Errorf("%+v", got)
	}
	for _, status := range []apiclient.Status{"completed", "failed", "running", "unknown"} {
		other := task
		other.Status = status
		if got, known := c.Of(&other, []Task{other}); known {
			t.Errorf("%s: %+v", status, got)
		}
	}
	if got, known := (*Cancellations)(nil).Of(&task, []Task{task}); known {
		t.Errorf("not read: %+v", got)
	}
}
