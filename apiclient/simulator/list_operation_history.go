package simulator

import (
	"slices"
	"time"
)

// Restored is a restore that completed some time ago, after an hour.
func Restored(ago time.Duration) func(time.Time) []Operation {
	return func(now time.Time) []Operation {
		end := now.Add(-ago)
		return []Operation{{ID: "op-1", Type: "restore", Status: "COMPLETED", Create: Millis(end.Add(-time.Hour)), End: Millis(end)}}
	}
}

// Canceled adds to some operations one that canceled the newest canceled task, a minute before it ended. Whether the API names the task
// in OperationDetail is not known.
func Canceled(others func(time.Time) []Operation, tasks func(time.Time) []Task, named bool) func(time.Time) []Operation {
	return func(now time.Time) []Operation {
		all := others(now)
		for _, t := range tasks(now) {
			end, ended := t.Finish.(int64)
			if t.Status != "CANCELLED" || !ended {
				continue
			}
			o := Operation{ID: "op-2", Type: "cancel_backup_task", Status: "COMPLETED", Create: end - 60_000, End: end - 30_000, Detail: "done"}
			if named {
				o.Detail = "cancel " + t.BackupTaskID
			}
			return append(all, o)
		}
		return all
	}
}

// listOperationHistory answers ListOperationHistory, with its filters by type and status.
func listOperationHistory(c call) []byte {
	in := c.account.instance(c.query["InstanceId"])
	if in.InstanceID == "" {
		return failure("InvalidParams", "Invalid params: [instance not exists].\n", nil)
	}
	var all []Operation
	if in.Operations != nil {
		all = in.Operations(c.now)
	}
	all = slices.DeleteFunc(all, func(o Operation) bool {
		return c.query["OperationType"] != "" && c.query["OperationType"] != o.Type ||
			c.query["OperationStatus"] != "" && c.query["OperationStatus"] != o.Status
	})
	from, to := c.window(len(all))
	w := &writer{}
	data := list(w, append([]Operation{}, all[from:to]...), func(o Operation) {
		progress := 0
		if o.End != nil {
			progress = 100
		}
		w.object("OperationId", o.ID, "InstanceId", in.InstanceID, "OperationType", o.Type, "OperationStatus", o.Status,
			"GmtCreate", o.Create, "GmtEnd", o.End, "OperationDetail", o.Detail, "BeforeValue", o.Before, "AfterValue", o.After,
			"Progress", progress)
	})
	return w.envelope(true, "Success", "", data, c.total(len(all), to-from))
}
