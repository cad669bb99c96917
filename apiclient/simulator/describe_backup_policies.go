package simulator

import "time"

// DailyPolicy is a policy that starts a backup every night, as far as the API tells.
func DailyPolicy(expireDays int) func(time.Time) []Policy {
	return func(time.Time) []Policy {
		return []Policy{{PolicyID: "1", Hour: "2", Minute: "0", RecurrenceValues: []int{}, ExpireDays: expireDays, TimeoutSeconds: 3 * 3600}}
	}
}

// describeBackupPolicies answers DescribeBackupPolicies.
func describeBackupPolicies(c call) []byte {
	in := c.account.instance(c.query["InstanceId"])
	if in.InstanceID == "" || in.RegionID != c.query["RegionId"] {
		return failure("InvalidParams", "Invalid params: [instance not exists].\n", nil)
	}
	all := []Policy{}
	if in.Policies != nil {
		all = in.Policies(c.now)
	}
	w := &writer{}
	data := list(w, all, func(p Policy) {
		w.object("PolicyId", p.PolicyID, "InstanceId", in.InstanceID, "Hour", p.Hour, "Minute", p.Minute,
			"RecurrenceValues", p.RecurrenceValues, "ExpireDays", p.ExpireDays, "TimeoutSeconds", p.TimeoutSeconds)
	})
	return w.envelope(true, "Success", "", data, c.total(len(all), len(all)))
}
