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

// Canceled adds to some operations one that canceled a backup some time ago. Detail is its text: whether the API names the task there is
// not known.
func Canceled(others func(time.Time) []Operation, at func(time.Time) time.Time, detail string) func(time.Time) []Operation {
	return func(now time.Time) []Operation {
		begin := at(now)
		return append(others(now), Operation{
			ID: "op-2", Type: "cancel_backup_task", Status: "COMPLETED", Create: Millis(begin), End: Millis(begin.Add(30 * time.Second)),
			Detail: detail,
		})
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
	return w.envelope(true, "Success", "", data, c.options.Total(len(all)))
}
