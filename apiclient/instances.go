package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

// instancesPageSize is the most that the API gives.
const instancesPageSize = 100

// Instance is a StarRocks instance, an element of Data in the answer of DescribeInstances.
type Instance struct {
	InstanceID   string // InstanceId
	RegionID     string // RegionId
	InstanceName string // InstanceName
	Status       string // InstanceStatus, in the API's words
	RunMode      string // RunMode: shared_nothing, shared_data, lakehouse
}

// Instances lists the instances of the client's region that carry all the tags, page by page, each once. An error, always an
// *Error, is the last thing yielded: what came before it is not all there is. So is a list that is shorter than its own Total.
func (c *Client) Instances(ctx context.Context, tags map[string]string) iter.Seq2[Instance, error] {
	query := func(page int) url.Values {
		v := url.Values{"RegionId": {c.o.RegionID}, "PageNumber": {strconv.Itoa(page)}, "PageSize": {strconv.Itoa(instancesPageSize)}}
		if len(tags) > 0 {
			v.Set("Tag", tagParameter(tags))
		}
		return v
	}
	return paged(ctx, c, describeInstances, 1, nil, query, func(p *page) []Instance { return p.instances }, func(i Instance) string { return i.InstanceID }, true)
}

// tagParameter is what the API takes for tags: one JSON string.
func tagParameter(tags map[string]string) string {
	type tag struct{ Key, Value string }
	all := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, tag{k, tags[k]})
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(b)
}

func (p *page) decodeInstances(d *decoder) error {
	p.instances = nil
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	return eachElement(d, func() error {
		i, err := decodeInstance(d)
		p.instances = append(p.instances, i)
		return err
	})
}

func decodeInstance(d *decoder) (Instance, error) {
	var i Instance
	err := eachMember(d, func(name string) error {
		switch name {
		case "InstanceId":
			return set(d, &i.InstanceID)
		case "RegionId":
			return set(d, &i.RegionID)
		case "InstanceName":
			return set(d, &i.InstanceName)
		case "InstanceStatus":
			return set(d, &i.Status)
		case "RunMode":
			return set(d, &i.RunMode)
		default:
			return d.SkipValue()
		}
	})
	if err == nil && i.InstanceID == "" {
		err = errors.New("an instance without InstanceId")
	}
	return i, err
}
