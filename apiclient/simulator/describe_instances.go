package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// describeInstances answers DescribeInstances, with its filters by region, id, status and tags.
func describeInstances(c call) []byte {
	var tags []struct{ Key, Value string }
	if text := c.query["Tag"]; text != "" && json.Unmarshal([]byte(text), &tags) != nil {
		return failure("InvalidParams", "Invalid params: [Tag].", nil)
	}
	found := slices.DeleteFunc(c.account.inRegion(c.query["RegionId"]), func(i Instance) bool {
		status := orElse(i.Status, "running")
		leftOut := c.query["InstanceId"] != "" && c.query["InstanceId"] != i.InstanceID ||
			c.query["InstanceStatus"] != "" && !slices.Contains(strings.Split(c.query["InstanceStatus"], ","), status)
		for _, t := range tags {
			leftOut = leftOut || i.Tags[t.Key] != t.Value
		}
		return leftOut
	})
	from, to := c.window(len(found))
	w := &writer{}
	data := list(w, append([]Instance{}, found[from:to]...), func(i Instance) {
		tags := []map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(i.Tags)) {
			tags = append(tags, map[string]string{"Key": key, "Value": i.Tags[key]})
		}
		w.object("InstanceId", i.InstanceID, "InstanceName", "name of "+i.InstanceID, "InstanceStatus", orElse(i.Status, "running"),
			"RegionId", i.RegionID, "RunMode", orElse(i.RunMode, "shared_nothing"), "Version", "3.3", "Tags", tags,
			"BeginTime", i.Created, "ExpireTime", i.Expire, "PayType", orElse(i.PayType, "postPaid"))
	})
	return w.envelope(true, "Success", "", data, c.total(len(found), to-from))
}
