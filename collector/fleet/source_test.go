package fleet

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"testing"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// instanceList lists instances as the API does.
type instanceList []apiclient.Instance

func (l instanceList) Instances(context.Context, map[string]string) iter.Seq2[apiclient.Instance, error] {
	return func(yield func(apiclient.Instance, error) bool) {
		for _, i := range l {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// An instance of another region is not taken. One of an unknown region is. What is left out is counted by reason.
func TestRegionSource(t *testing.T) {
	d := config.Discovery{RegionID: "cn-hangzhou", Account: "default", Exclude: config.Exclude{
		InstanceIDs: []string{"c-excluded"}, Tags: map[string]string{"team": "lab", "empty": ""},
	}}
	for i, c := range []struct {
		instance apiclient.Instance
		leftOut  LeftOutReason
		found    bool
	}{
		{apiclient.Instance{InstanceID: "c", RegionID: "cn-hangzhou"}, "", true},
		{apiclient.Instance{InstanceID: "c"}, "", true},
		{apiclient.Instance{InstanceID: "c", RegionID: "cn-shanghai"}, "", false},
		{apiclient.Instance{InstanceID: "c", RegionID: "cn-shanghai", RunMode: "shared_data"}, "", false},
		{apiclient.Instance{InstanceID: "c-excluded"}, LeftOutExclude, false},
		{apiclient.Instance{InstanceID: "c", Tags: map[string]string{"team": "lab"}}, LeftOutExclude, false},
		{apiclient.Instance{InstanceID: "c", Tags: map[string]string{"team": "data"}}, "", true},
		{apiclient.Instance{InstanceID: "c", Tags: map[string]string{"team": "data", "empty": ""}}, LeftOutExclude, false},
		{apiclient.Instance{InstanceID: "c", RunMode: "Shared_Data"}, LeftOutRunMode, false},
		{apiclient.Instance{InstanceID: "c", RunMode: "lakehouse"}, LeftOutRunMode, false},
		{apiclient.Instance{InstanceID: "c", RunMode: "shared_nothing", Status: "running"}, "", true},
		{apiclient.Instance{InstanceID: "c", Status: "DELETED"}, LeftOutStatus, false},
	} {
		f, err := regionSource{d, Shard{}, instanceList{c.instance}}.Instances(t.Context())
		want := map[LeftOutReason]int{}
		if c.leftOut != "" {
			want[c.leftOut] = 1
		}
		if err != nil || len(f.Instances) == 1 != c.found || !maps.Equal(f.LeftOut, want) {
			t.Errorf("%d: %+v, %v", i, f, err)
		}
	}
}

// The instances of other shards are neither found nor counted as left out.
func TestRegionSourceOfAShard(t *testing.T) {
	var all instanceList
	for n := range 20 {
		all = append(all, apiclient.Instance{InstanceID: fmt.Sprintf("c-%d", n), RunMode: []string{"", "lakehouse"}[n%2]})
	}
	found, leftOut := 0, 0
	for index := range 2 {
		f, err := regionSource{config.Discovery{RegionID: "r"}, Shard{index, 2}, all}.Instances(t.Context())
		if err != nil || len(f.Instances) == 0 || len(f.Instances) == 10 {
			t.Errorf("shard %d: %+v, %v", index, f, err)
		}
		found, leftOut = found+len(f.Instances), leftOut+f.LeftOut[LeftOutRunMode]
	}
	if found != 10 || leftOut != 10 {
		t.Errorf("%d found, %d left out", found, leftOut)
	}
}
