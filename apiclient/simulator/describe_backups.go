package simulator

import (
	"slices"
	"strconv"
	"strings"
)

// describeBackups answers DescribeBackups.
func describeBackups(c call) []byte {
	id := c.query["InstanceId"]
	in := c.account.instance(id)
	if id != "" && (in.InstanceID == "" || in.RegionID != c.query["RegionId"]) {
		return failure("InvalidParams", "Invalid params: [instance not exists].\n", nil)
	}
	render := func() []byte {
		tasks := matchingTasks(c, in)
		from, to := c.window(len(tasks))
		return envelope(true, "Success", "", tasks[from:to], c.total(len(tasks), to-from))
	}
	if in.Rendered == "" {
		return render()
	}
	return c.account.renderOnce(in.Rendered, c.query["PageNumber"]+" "+c.query["PageSize"], render)
}

// matchingTasks returns the tasks that the filters of the query select.
func matchingTasks(c call, in Instance) (tasks []Task) {
	instances := []Instance{in}
	if c.query["InstanceId"] == "" {
		instances = c.account.inRegion(c.query["RegionId"])
	}
	for _, i := range instances {
		if i.Tasks == nil {
			continue
		}
		all := i.Tasks(c.now)
		if i.Listed != nil && c.query["InstanceId"] == "" {
			all = i.Listed(all)
		}
		for _, t := range all {
			t.InstanceID, t.RegionID = orElse(t.InstanceID, i.InstanceID), orElse(t.RegionID, i.RegionID)
			if matches(c.query, t) {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

func matches(query map[string]string, t Task) bool {
	if id := query["BackupTaskId"]; id != "" && id != t.BackupTaskID {
		return false
	}
	if words := query["Statuses"]; words != "" && !slices.Contains(strings.Split(words, ","), t.Status) {
		return false
	}
	start, _ := t.Start.(int64)
	if from, err := strconv.ParseInt(query["TimePeriodStartTime"], 10, 64); err == nil && start < from*1000 {
		return false
	}
	to, err := strconv.ParseInt(query["TimePeriodEndTime"], 10, 64)
	return err != nil || start <= to*1000
}
