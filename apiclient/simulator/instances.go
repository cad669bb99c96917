package simulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// instancesPage answers DescribeInstances, with its filters by region, id, status and tags.
func (s *Simulator) instancesPage(query url.Values) []byte {
	var tags []struct{ Key, Value string }
	if text := query.Get("Tag"); text != "" && json.Unmarshal([]byte(text), &tags) != nil {
		return failure("InvalidParams", "Invalid params: [Tag].", nil)
	}
	page, size := atLeastOne(query.Get("PageNumber"), 1), min(atLeastOne(query.Get("PageSize"), 10), s.o.PageCap)
	found := []Instance{}
	s.mu.Lock()
	for _, id := range s.order {
		i := s.instances[id]
		i.Status = orElse(i.Status, "running")
		left := query.Get("RegionId") != "" && query.Get("RegionId") != i.RegionID ||
			query.Get("InstanceId") != "" && query.Get("InstanceId") != id ||
			query.Get("InstanceStatus") != "" && !slices.Contains(strings.Split(query.Get("InstanceStatus"), ","), i.Status)
		for _, t := range tags {
			left = left || i.Tags[t.Key] != t.Value
		}
		if !left {
			found = append(found, i)
		}
	}
	s.mu.Unlock()
	first := min((page-1)*size, len(found))
	w := &writer{}
	data := list(w, found[first:min(first+size, len(found))], func(i Instance) {
		w.object("InstanceId", i.InstanceID, "InstanceName", "name of "+i.InstanceID, "InstanceStatus", i.Status, "RegionId", i.RegionID,
			"RunMode", orElse(i.RunMode, "shared_nothing"), "Version", "3.3")
	})
	return w.envelope(true, "Success", "", data, s.o.Total(len(found)))
}
