package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

// instancesPageSize is the most that the API gives.
const instancesPageSize = 100

func describeInstances() operation[Instance] {
	return operation[Instance]{
		name: "DescribeInstances", path: "/webapi/starrocks/describeInstances", rank: discoveryRank,
		decode: decodePage[wireInstance, Instance], id: func(i *Instance) itemID { return itemID{i.InstanceID, ""} },
	}
}

// Instances lists the instances of the client's region that carry all the tags, each once. An error, always an *Error, is the last
// thing yielded: the instances before it are not all there are.
func (c *Client) Instances(ctx context.Context, tags map[string]string) iter.Seq2[Instance, error] {
	l := &list[Instance]{
		client: c, op: describeInstances(), first: 1, size: instancesPageSize,
		query: func(page, size int) url.Values {
			v := url.Values{"RegionId": {c.o.RegionID}, "PageNumber": {strconv.Itoa(page)}, "PageSize": {strconv.Itoa(size)}}
			if len(tags) > 0 {
				v.Set("Tag", tagParameter(tags))
			}
			return v
		},
	}
	return func(yield func(Instance, error) bool) { l.read(ctx, yield) }
}

// tagParameter returns the tags as the API takes them: one JSON string.
func tagParameter(tags map[string]string) string {
	type tag struct{ Key, Value string }
	all := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, tag{k, tags[k]})
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}
