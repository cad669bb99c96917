package collector_test

import (
	"fmt"
	"strings"
	"testing"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Thresholds hold for an instance as it is configured: by itself, else by the discovery that found it, else by backups.
func TestThresholdsOfInstancesAndDiscoveries(t *testing.T) {
	newest, before := backup("bt-2", "COMPLETED", 7, sub("dwd", "orders", 60, "success")), backup("bt-1", "COMPLETED", 30,
		sub("dwd", "orders", 100, "success"))
	running := backup("bt-4", "RUNNING", 0)
	running.Start = simulator.Millis(noon.Add(-hours(5)))
	newest.Expire, before.Expire = simulator.Millis(noon.Add(hours(30))), simulator.Millis(noon.Add(hours(30)))
	tasks := lists(running, backup("bt-3", "FAILED", 6), newest, before)

	const own = "stuck_after: 6h, expiring_within: 2d, shrunk_below: 0.7"
	const byDefault, byOwn = "failing stuck", "failing expiring shrunk"
	for name, test := range map[string]struct {
		backups string // what the file says for all
		want    map[string]string
	}{
		"defaults": {"", map[string]string{"c-plain": byDefault, "c-found": byDefault}},
		"for all":  {own, map[string]string{"c-plain": byOwn, "c-found": byOwn}},
	} {
		w := newWorld(t, simulator.Options{}, at(noon), fmt.Sprintf(`
api: {endpoint: "API"}
accounts: {default: {access_key_id: id, access_key_secret: canary}}
backups: {%s}
instances:
- {instance_id: c-plain, region_id: cn-hangzhou}
- {instance_id: c-own, region_id: cn-hangzhou, %s}
- {instance_id: c-back, region_id: cn-hangzhou, stuck_after: 4h, expiring_within: 1d, shrunk_below: 0.5}
discovery:
- {region_id: cn-shanghai}
- {region_id: cn-beijing, %s}
`, test.backups, own, own))
		for id, region := range map[string]string{
			"c-plain": "cn-hangzhou", "c-own": "cn-hangzhou", "c-back": "cn-hangzhou", "c-found": "cn-shanghai", "c-found-own": "cn-beijing",
		} {
			w.sim.Set(simulator.Instance{InstanceID: id, RegionID: region, Tasks: tasks})
		}
		test.want["c-own"], test.want["c-found-own"], test.want["c-back"] = byOwn, byOwn, byDefault
		held := holding(w.exposition())
		for id, want := range test.want {
			if got := strings.Join(held[id], " "); got != want {
				t.Errorf("%s: %s: %q instead of %q", name, id, got, want)
			}
		}
	}
}
