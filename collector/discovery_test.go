package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

const oneRegion = `
api: {endpoint: "API", timeout: 30s, requests_per_second: 100000, max_attempts: 1}
accounts: {default: {access_key_id: id, access_key_secret: canary}}
discovery: [{region_id: cn-hangzhou}]
`

// values are the series of a metric, each as its labels but for the region, and its value.
func values(t *testing.T, exposition, name string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(exposition))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, m := range families["starrocks_backup_"+name].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			if n := l.GetName(); n != "region_id" && n != "account" && n != "tags" {
				labels = append(labels, l.GetValue())
			}
		}
		all[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return all
}

func ids(series map[string]float64) string {
	var all []string
	for id := range series {
		all = append(all, id)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// What is found is watched: also what nobody thought of backing up. What cannot have backups is left out and counted.
func TestDiscovery(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneRegion+`
instances: [{instance_id: c-2, region_id: cn-hangzhou, max_age: 8d}, {instance_id: c-9, region_id: cn-shanghai}]`)
	for _, i := range []simulator.Instance{
		{InstanceID: "c-1", Tasks: lists(backup("bt-1", "COMPLETED", 5, tables(20)...))},
		{InstanceID: "c-2", Tasks: lists(backup("bt-2", "COMPLETED", 100, tables(20)...))},
		{InstanceID: "c-3"},
		{InstanceID: "c-4", RunMode: "shared_data"},
		{InstanceID: "c-5", RunMode: "lakehouse"},
		{InstanceID: "c-6", Status: "creating"},
		{InstanceID: "c-7", Status: "some word", RunMode: "some other"},
		{InstanceID: "c-10", Status: "NOT_INIT"},
		{InstanceID: "c-11", Status: "agent_creating"},
		{InstanceID: "c-12", Status: "deleted_with_error"},
		{InstanceID: "c-13", Status: "deleting_failed"},
	} {
		i.RegionID = "cn-hangzhou"
		w.sim.Set(i)
	}
	w.sim.Set(simulator.Instance{InstanceID: "c-8", RegionID: "cn-shanghai"})
	w.sim.Set(simulator.Instance{InstanceID: "c-9", RegionID: "cn-shanghai"})
	golden(t, "discovery.metrics", w.exposition())
}

func TestDiscoveryByTags(t *testing.T) {
	w := newWorld(
		t,
		simulator.Options{},
		at(noon),
		strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, tags: {team: data, env: 'a \"b\"'}", 1),
	)
	for n, tags := range []map[string]string{nil, {"team": "data"}, {"team": "data", "env": `a "b"`}} {
		w.sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", n), RegionID: "cn-hangzhou", Tags: tags})
	}
	if got := ids(values(t, w.get("/metrics"), "up")); got != "c-2" {
		t.Errorf("found %s", got)
	}
}

// Instances come and go at each refresh, over several pages. A failed or incomplete list removes no instance.
func TestDiscoveryRefreshes(t *testing.T) {
	now, broken := noon, simulator.Fault(nil)
	total := func(n int) any { return n }
	w := newWorld(t, simulator.Options{
		PageCap: 20, Total: func(n int) any { return total(n) },
		Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool { return broken != nil && broken(rw, r, n) },
	}, func() time.Time { return now }, oneRegion)
	setMany(w, 50)
	expect := func(when string, instances int, errors string) {
		t.Helper()
		body := w.get("/metrics")
		up := values(t, body, "up")
		if len(up) != instances || values(t, body, "discovered_instances")[""] != float64(instances) {
			t.Errorf("%s: %d instances, want %d", when, len(up), instances)
		}
		for reason, n := range values(t, body, "discovery_errors_total") {
			if (n > 0) != (reason == errors) {
				t.Errorf("%s: %v errors %q", when, n, reason)
			}
		}
	}
	expect("at first", 50, "")
	w.sim.Remove("c-7")
	w.sim.Set(simulator.Instance{InstanceID: "c-new", RegionID: "cn-hangzhou"})
	now = now.Add(5*time.Minute - time.Second)
	if up := values(t, w.get("/metrics"), "up"); len(up) != 50 || up["c-7"] != 0 {
		t.Errorf("before the refresh: %d instances, c-7 %v", len(up), up["c-7"])
	}
	now = now.Add(time.Second)
	expect("one went, one came", 50, "")
	if up := values(t, w.get("/metrics"), "up"); up["c-new"] != 1 || len(up) != 50 {
		t.Errorf("c-new is %v", up["c-new"])
	}
	broken = simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "")
	w.sim.Remove("c-8")
	now = now.Add(5 * time.Minute)
	expect("unavailable", 50, "server_error")
	const said = "The instances of cn-hangzhou (account default) cannot be listed. Known instances are still watched. " +
		"They were last listed 2026-03-04 12:05 UTC. DescribeInstances: server_error: ServiceUnavailable"
	if page := w.get("/"); !strings.Contains(page, said) {
		t.Errorf("the page does not say so:\n%s", page)
	}
	w.configure(oneRegion)
	expect("unavailable, and the configuration loaded again", 50, "server_error")
	if l := w.log.String(); strings.Count(l, "level=warn msg=\"listing instances failed") != 1 || strings.Contains(l, "canary") {
		t.Errorf("log:\n%s", l)
	}
	broken = nil
	expect("available", 49, "server_error")
	if page := w.get("/"); strings.Contains(page, "cannot be listed") {
		t.Errorf("the page says what is over:\n%s", page)
	}
	// A Total that is wrong in both reads of a list does not count.
	total = func(n int) any { return n + 1 }
	w.sim.Remove("c-9")
	one := lists(backup("bt-1", "COMPLETED", 5))
	w.sim.Set(simulator.Instance{InstanceID: "c-newer", RegionID: "cn-hangzhou", Tasks: one})
	now = now.Add(5 * time.Minute)
	if up := values(t, w.get("/metrics"), "up"); len(up) != 49 || up["c-newer"] != 1 {
		t.Errorf("a wrong Total: %d instances, the new one %v", len(up), up["c-newer"])
	}
	// If two reads of the list differ and both have fewer entries than Total, no instance is removed.
	total = func(n int) any { return n + 5 }
	w.sim.Remove("c-10")
	requests := 0
	broken = func(http.ResponseWriter, *http.Request, int) bool {
		if requests++; requests == 6 { // the first read takes four
			w.sim.Remove("c-newer")
			w.sim.Set(simulator.Instance{InstanceID: "c-newest", RegionID: "cn-hangzhou", Tasks: one})
		}
		return false
	}
	now = now.Add(5 * time.Minute)
	body := w.get("/metrics")
	up := values(t, body, "up")
	if _, kept := up["c-10"]; !kept || up["c-newest"] != 1 || values(t, body, "discovery_errors_total")["bad_response"] != 1 {
		t.Errorf("a list that is not whole: c-10 %v, the newest %v\n%s", kept, up["c-newest"], w.log.String())
	}
}

// A region read by one listing says to the letter what reading each instance does, in far fewer requests.
func TestListingOfARegion(t *testing.T) {
	exposition := func(listing string) (string, int) {
		w := newWorld(
			t,
			simulator.Options{},
			at(noon),
			strings.Replace(oneRegion, "{region_id: cn-hangzhou}", "{region_id: cn-hangzhou, max_age: 26h, listing: "+listing+"}", 1),
		)
		for _, d := range simulator.DemoFleet() {
			d.RegionID, d.Fault = "cn-hangzhou", nil
			w.sim.Set(d.Instance)
		}
		w.get("/metrics")
		before := w.sim.Requests("")
		body := w.get("/metrics")
		if given := values(t, body, "discovery_reads_each_instance")[""]; given != 0 {
			t.Errorf("%s: reads each: %v", listing, given)
		}
		var lines []string
		for line := range strings.Lines(body) {
			if !strings.Contains(line, "scrape_duration_seconds") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, ""), w.sim.Requests("") - before
	}
	each, many := exposition("instance")
	whole, few := exposition("region")
	if each != whole {
		t.Errorf("the listing differs:\n%s", difference(each, whole))
	}
	if few >= many || strings.Count(each, "\n") < 500 {
		t.Errorf("%d and %d requests, %d lines", many, few, strings.Count(each, "\n"))
	}
}

// An instance that the listing leaves out is read on its own, and so is one of the others each time. Where either finds that the
// listing lacked something, or the API does not list a region, each is read from then on, for an hour; whatever happens, nobody is
// said to have no backup who has one.
func TestListingIsNotTrusted(t *testing.T) {
	without := func(status string) func([]simulator.Task) []simulator.Task {
		return func(all []simulator.Task) []simulator.Task {
			return slices.DeleteFunc(slices.Clone(all), func(t simulator.Task) bool { return t.Status == status || status == "" })
		}
	}
	withoutTables := func(all []simulator.Task) []simulator.Task {
		all = slices.Clone(all)
		for i := range all {
			all[i].SubTasks = nil
		}
		return all
	}
	const atOnce, thirdTime, never = 1, 3, 99
	for name, test := range map[string]struct {
		fault     simulator.Fault
		listed    func([]simulator.Task) []simulator.Task // of c-2
		readsEach int                                     // from which scrape on
	}{
		"whole":           {nil, nil, never},
		"one left out":    {nil, without(""), atOnce},
		"no failed tasks": {nil, without("FAILED"), thirdTime}, // there are three instances to be looked at in turn
		"no tables":       {nil, withoutTables, thirdTime},
		"not served":      {simulator.EnvelopeError("InvalidParams", "InstanceId is missing"), nil, atOnce},
		"not allowed":     {simulator.Denied("sr:DescribeBackups"), nil, atOnce},
		"no end":          {simulator.EndlessPages(), nil, thirdTime},
		"not available":   {simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", ""), nil, thirdTime},
		// the first request lists instances
		"unavailable twice": {simulator.First(3, simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "")), nil, never},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			w := newWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
				return test.fault != nil && r.Header.Get("x-acs-action") == "DescribeBackups" && test.fault(rw, r, n)
			}}, func() time.Time { return now }, strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: region, refresh_interval: 1d", 1))
			setMany(w, 2)
			w.sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Listed: test.listed, Tasks: lists(
				backup("bt-2", "FAILED", 3), backup("bt-1", "COMPLETED", 5, tables(20)...))})
			w.sim.Set(simulator.Instance{InstanceID: "c-never", RegionID: "cn-hangzhou"})
			for scrape := 1; scrape <= 4; scrape++ {
				now = now.Add(time.Minute)
				body := w.get("/metrics")
				for id, up := range values(t, body, "up") {
					if up != 1 {
						t.Errorf("%s: up is %v", id, up)
					}
				}
				readsEach := values(t, body, "discovery_reads_each_instance")[""]
				if (readsEach == 1) != (scrape >= test.readsEach) {
					t.Errorf("scrape %d: reads each: %v", scrape, readsEach)
				}
				for series, holds := range values(t, body, "condition") {
					want := series == "missing c-never" || series == "failing c-2" && (readsEach == 1 || name != "no failed tasks")
					if (holds == 1) != want {
						t.Errorf("scrape %d: %s is %v", scrape, series, holds)
					}
				}
			}
			if n := strings.Count(w.log.String(), "reading each instance on its own"); (n == 1) != (test.readsEach != never) {
				t.Errorf("log:\n%s", w.log.String())
			}
			lists := func() int {
				n := w.sim.Requests("")
				for _, id := range []string{"c-0", "c-1", "c-2", "c-never"} {
					n -= w.sim.Requests(id)
				}
				return n
			}
			before := lists()
			now = now.Add(time.Hour)
			body := w.get("/metrics")
			if lists() == before {
				t.Error("the listing is not tried again")
			}
			if values(t, body, "condition")["failing c-2"] != 1 {
				t.Error("what was known of c-2 is forgotten")
			}
		})
	}
}

// Once the read of one instance proves that the list is incomplete, no other is judged by it, in the same scrape.
func TestAnIncompleteListingJudgesNobody(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: region", 1))
	for n := range 5 {
		w.sim.Set(simulator.Instance{
			InstanceID: fmt.Sprintf("c-%d", n), RegionID: "cn-hangzhou", Listed: func(all []simulator.Task) []simulator.Task {
				all = slices.Clone(all)
				for i := range all {
					all[i].SubTasks = nil
				}
				return all
			},
			Tasks: lists(backup("bt-2", "COMPLETED", 5, sub("d", "t", 10, "success"), sub("d", "u", 0, "failed")),
				backup("bt-1", "COMPLETED", 29, sub("d", "t", 100, "success"))),
		})
	}
	for n := range 2 { // the second scrape reads what the list did not say of the older backups
		held := holding(w.get("/metrics"))
		for i := range 5 {
			id := fmt.Sprintf("c-%d", i)
			if got := strings.Join(held[id], " "); got != "shrunk tables_failed" {
				t.Errorf("scrape %d: %s: %q", n, id, got)
			}
		}
	}
}

// A backup that begins between the listing and the read on its own is no reason to distrust the listing.
func TestListingAndAFirstBackup(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: region", 1))
	first := backup("bt-1", "RUNNING", 0)
	first.Start = simulator.Millis(noon.Add(time.Second))
	w.sim.Set(
		simulator.Instance{
			InstanceID: "c-1",
			RegionID:   "cn-hangzhou",
			Listed:     func([]simulator.Task) []simulator.Task { return nil },
			Tasks:      lists(first),
		},
	)
	if got := values(t, w.get("/metrics"), "discovery_reads_each_instance")[""]; got != 0 {
		t.Errorf("reads each: %v", got)
	}
}

// Each instance has exactly one shard, the shares are alike, and one shard more moves only what that one gets.
func TestShards(t *testing.T) {
	const n = 10000
	counts := [4]int{}
	for k := range n {
		i := config.Instance{Account: "a", RegionID: "r", InstanceID: fmt.Sprintf("c-%d", k)}
		before, after := -1, -1
		for s := range 4 {
			if s < 3 && (fleet.Shard{Index: s, Total: 3}).Has(i) {
				if before >= 0 {
					t.Fatalf("%s has two shards", i.InstanceID)
				}
				before = s
			}
			if (fleet.Shard{Index: s, Total: 4}).Has(i) {
				if after >= 0 {
					t.Fatalf("%s has two shards", i.InstanceID)
				}
				after = s
			}
		}
		if before < 0 || after < 0 || after != before && after != 3 {
			t.Fatalf("%s moves from %d to %d", i.InstanceID, before, after)
		}
		counts[after]++
	}
	for s, count := range counts {
		if count < n/4*9/10 || count > n/4*11/10 {
			t.Errorf("shard %d has %d", s, count)
		}
	}
	// Nobody may move because the hash changed: these shards are for ever.
	var shards []int
	for k := range 12 {
		for index := range 4 {
			if (fleet.Shard{Index: index, Total: 4}).Has(config.Instance{Account: "a", RegionID: "r", InstanceID: fmt.Sprintf("c-%d", k)}) {
				shards = append(shards, index)
			}
		}
	}
	if want := []int{0, 1, 0, 1, 3, 0, 1, 0, 3, 1, 2, 2}; !slices.Equal(shards, want) {
		t.Errorf("the hash has changed: %v", shards)
	}
}

// A list that lacks most of what is known is believed only when it comes three times over an interval: until then nobody leaves.
func TestAnEmptyListIsNotBelievedAtOnce(t *testing.T) {
	now, empty := noon, false
	w := newWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
		return empty && simulator.Raw(http.StatusOK, `{"Success":true,"Data":null}`)(rw, r, n)
	}}, func() time.Time { return now }, oneRegion)
	setMany(w, 5)
	w.get("/metrics")
	empty = true
	now = now.Add(5 * time.Minute)
	for range 5 { // several servers and readers of the page, within a second
		if up := values(t, w.get("/metrics"), "up"); len(up) != 5 {
			t.Errorf("%d instances", len(up))
		}
	}
	empty = false
	w.get("/metrics")
	empty = true
	for _, want := range []int{5, 5, 0} {
		now = now.Add(5 * time.Minute)
		if up := values(t, w.get("/metrics"), "up"); len(up) != want {
			t.Errorf("%d instances, want %d", len(up), want)
		}
	}
	empty = false
	now = now.Add(5 * time.Minute)
	if up := values(t, w.get("/metrics"), "up"); len(up) != 5 {
		t.Errorf("%d instances", len(up))
	}
}

// An instance that is configured by id under one account, and found under another, is read by one shard and under the first.
func TestOverridesOverShards(t *testing.T) {
	configuration := strings.Replace(
		oneRegion,
		"accounts: {",
		"accounts: {other: {access_key_id: id, access_key_secret: canary}, ",
		1,
	) + "instances:\n"
	for n := range 20 {
		configuration += fmt.Sprintf("- {instance_id: c-%d, region_id: cn-hangzhou, account: other, max_age: 8d}\n", n)
	}
	read := 0
	for index := range 2 {
		w := newWorld(t, simulator.Options{}, at(noon), oneRegion)
		w.builder = fleet.NewBuilder(collector.NewAPIMetrics(prometheus.NewRegistry()), at(noon), fleet.Shard{Index: index, Total: 2},
			log.NewNopLogger())
		w.configure(configuration)
		setMany(w, 20)
		for id, age := range values(t, w.get("/metrics"), "max_age_seconds") {
			if read++; age != 8*24*3600 {
				t.Errorf("%s: max age %v", id, age)
			}
		}
	}
	if read != 20 {
		t.Errorf("%d are read", read)
	}
}

// A reload that takes a discovery away while a scrape is under way leaves nothing of it in the scrape.
func TestADiscoveryThatLeavesDuringAScrape(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, simulator.Options{}, at(noon), oneRegion)
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: func(http.ResponseWriter, *http.Request, int) bool {
		close(asked)
		<-goOn
		return false
	}})
	body := make(chan string)
	go func() { body <- w.get("/metrics") }()
	<-asked
	w.configure(oneInstance)
	close(goOn)
	if text := <-body; strings.Contains(text, "starrocks_backup_discover") || strings.Contains(text, `account=""`) {
		t.Errorf("what is left:\n%s", text)
	}
}

// What was listed of an instance stands when its own read, which is only to check the listing, fails.
func TestACheckOfTheListingThatFails(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: region", 1))
	w.sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(backup("bt-1", "COMPLETED", 5, tables(20)...)),
		Fault: simulator.Denied("sr:DescribeBackups"),
	})
	body := w.get("/metrics")
	if values(t, body, "up")["c-1"] != 1 || values(t, body, "restorable_backups")["c-1"] != 1 ||
		values(t, body, "scrape_errors_total")["c-1 forbidden"] != 0 ||
		w.sim.Requests("c-1") != 1 {
		t.Errorf("%d requests\n%s", w.sim.Requests("c-1"), body)
	}
}

// Lists of instances and of backups count among the requests in flight.
func TestConcurrencyHoldsForLists(t *testing.T) {
	var mu sync.Mutex
	inFlight, most := 0, 0
	slow := func(http.ResponseWriter, *http.Request, int) bool {
		mu.Lock()
		inFlight++
		most = max(most, inFlight)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		inFlight--
		mu.Unlock()
		return false
	}
	now := noon
	w := newWorld(
		t,
		simulator.Options{Fault: slow},
		func() time.Time { return now },
		strings.Replace(strings.Replace(oneRegion, "max_attempts: 1", "max_attempts: 1, concurrency: 2", 1),
			"{region_id: cn-hangzhou}", "{region_id: cn-hangzhou, listing: region}, {region_id: cn-hangzhou, tags: {a: b}}", 1),
	)
	for n := range 10 {
		w.sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", n), RegionID: "cn-hangzhou", Fault: slow, Tags: map[string]string{"a": "b"}})
	}
	for range 2 {
		now = now.Add(time.Hour)
		w.get("/metrics")
	}
	if most != 2 {
		t.Errorf("%d requests in flight", most)
	}
}

// A new instance is not missing a backup before its first one is due, whether it was configured by id or only found.
func TestNewInstancesAreNotMissing(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneRegion+"instances: [{instance_id: c-configured, region_id: cn-hangzhou}]")
	for id, age := range map[string]float64{"c-new": 1, "c-configured": 1, "c-old": 27} {
		w.sim.Set(simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Created: simulator.Millis(noon.Add(-hours(age)))})
	}
	w.sim.Set(simulator.Instance{InstanceID: "c-absurd", RegionID: "cn-hangzhou", Created: simulator.Millis(noon.AddDate(1, 0, 0))})
	w.get("/metrics")
	want := map[string]float64{"c-new": 0, "c-configured": 0, "c-old": 1, "c-absurd": 1, "c-none": 1}
	w.sim.Set(simulator.Instance{InstanceID: "c-none", RegionID: "cn-hangzhou"})
	w.configure(strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, tags: {}, refresh_interval: 1ms", 1) +
		"instances: [{instance_id: c-configured, region_id: cn-hangzhou}, {instance_id: c-none, region_id: cn-hangzhou}]")
	conditions := values(t, w.get("/metrics"), "condition")
	for id, missing := range want {
		if conditions["missing "+id] != missing {
			t.Errorf("%s: missing is %v, want %v", id, conditions["missing "+id], missing)
		}
	}
}

// The end of a subscription is known of discovered instances on subscription only.
func TestSubscriptions(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneRegion)
	for id, i := range map[string]simulator.Instance{
		"c-ending": {PayType: "prePaid", Expire: simulator.Millis(noon.Add(hours(23)))},
		"c-later":  {PayType: "Subscription", Expire: simulator.Millis(noon.Add(hours(25)))},
		"c-pay":    {PayType: "PostPaid", Expire: simulator.Millis(noon.Add(hours(1)))},
		"c-odd":    {PayType: "prePaid", Expire: "soon"},
	} {
		i.InstanceID, i.RegionID, i.Tasks = id, "cn-hangzhou", lists(backup("bt-1", "COMPLETED", 5, tables(20)...))
		w.sim.Set(i)
	}
	body := w.exposition()
	if ends := values(t, body, "instance_expire_timestamp_seconds"); len(ends) != 2 ||
		ends["c-ending"] != float64(noon.Add(hours(23)).Unix()) {
		t.Errorf("ends %v", ends)
	}
	for id := range values(t, body, "up") {
		if held := strings.Join(holding(body)[id], " "); (held == "subscription_ending") != (id == "c-ending") {
			t.Errorf("%s: %q", id, held)
		}
	}
}

func TestExcludedInstances(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "cn-hangzhou",
		"cn-hangzhou, exclude: {instance_ids: [c-1], tags: {backup: none, test: 'true'}}", 1))
	for id, tags := range map[string]map[string]string{
		"c-1": nil, "c-2": {"backup": "none"}, "c-3": {"test": "true"},
		"c-4": {"backup": "daily"}, "c-5": nil,
	} {
		w.sim.Set(simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Tags: tags})
	}
	body := w.get("/metrics")
	if got := ids(values(t, body, "up")); got != "c-4 c-5" || values(t, body, "discovery_left_out_instances")["excluded"] != 3 {
		t.Errorf("watched %s, left out %v", got, values(t, body, "discovery_left_out_instances"))
	}
}

// One region that cannot be listed says nothing about another, nor about instances that are configured by id.
func TestOneRegionNeverSpeaksForAnother(t *testing.T) {
	w := newWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
		return strings.Contains(r.URL.RawQuery, "cn-shanghai") && simulator.Denied("sr:DescribeInstances")(rw, r, n)
	}}, at(noon), strings.Replace(oneRegion, "{region_id: cn-hangzhou}", "{region_id: cn-hangzhou}, {region_id: cn-shanghai}", 1)+
		"instances: [{instance_id: c-static, region_id: cn-beijing}]")
	w.sim.Set(simulator.Instance{InstanceID: "c-found", RegionID: "cn-hangzhou"})
	w.sim.Set(simulator.Instance{InstanceID: "c-static", RegionID: "cn-beijing", Tasks: lists(backup("bt-1", "COMPLETED", 30))})
	body := w.exposition()
	for _, want := range []string{
		`starrocks_backup_discovery_complete{account="default",region_id="cn-hangzhou",tags=""} 1`,
		`starrocks_backup_discovery_complete{account="default",region_id="cn-shanghai",tags=""} 0`,
		`starrocks_backup_condition{condition="overdue",instance_id="c-static",region_id="cn-beijing"} 1`,
		`starrocks_backup_condition{condition="missing",instance_id="c-found",region_id="cn-hangzhou"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	w.configure(strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, tags: {a: b}", 1))
	w.sim.Set(simulator.Instance{InstanceID: "c-found", RegionID: "cn-hangzhou", Tags: map[string]string{"a": "b"}})
	if body = w.exposition(); !strings.Contains(body,
		`starrocks_backup_discovery_complete{account="default",region_id="cn-hangzhou",tags="a=b"} 1`) {
		t.Errorf("the entry with other tags is not complete:\n%s", body)
	}
}

// A pending task without a start time, which the list lacks, is no reason to distrust the list.
func TestListingAndAPendingTask(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: region", 1))
	pending, good := backup("bt-2", "PENDING", 0), backup("bt-1", "COMPLETED", 5)
	pending.Start, pending.Finish = nil, nil
	w.sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(pending, good),
		Listed: func(all []simulator.Task) []simulator.Task { return all[1:] },
	})
	if got := values(t, w.get("/metrics"), "discovery_reads_each_instance")[""]; got != 0 {
		t.Errorf("reads each: %v", got)
	}
}

// Tasks of an instance of another region, and instances of another region, are not taken.
func TestAnotherRegionsInstances(t *testing.T) {
	answer := func(rw http.ResponseWriter, r *http.Request, n int) bool {
		return simulator.Raw(http.StatusOK, `{"Success":true,"Total":3,"Data":[{"InstanceId":"c-1","RegionId":"cn-hangzhou"},`+
			`{"InstanceId":"c-2","RegionId":"cn-shanghai"},{"InstanceId":"c-3","RegionId":"CN-Hangzhou"}]}`)(rw, r, n)
	}
	w := newWorld(t, simulator.Options{Fault: answer}, at(noon), oneRegion)
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou"})
	if got := ids(values(t, w.get("/metrics"), "up")); got != "c-1 c-3" { // however the region is spelled
		t.Errorf("watched %s", got)
	}
}

// A single empty list removes no instance. Several in a row do.
func TestShortListsMustComeInARow(t *testing.T) {
	now, empty := noon, false
	w := newWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
		return empty && simulator.Raw(http.StatusOK, `{"Success":true,"Data":null}`)(rw, r, n)
	}}, func() time.Time { return now }, oneRegion)
	setMany(w, 5)
	w.get("/metrics")
	for _, empty = range []bool{true, true, false, true, true, false, true, true} {
		now = now.Add(5 * time.Minute)
		if up := values(t, w.get("/metrics"), "up"); len(up) != 5 {
			t.Fatalf("%d instances", len(up))
		}
	}
}

// A list of as many other instances lacks most of the known ones, too: another identity may see another account.
func TestAListOfOtherInstancesIsNotBelievedAtOnce(t *testing.T) {
	now := noon
	w := newWorld(t, simulator.Options{}, func() time.Time { return now }, oneRegion)
	setMany(w, 5)
	w.get("/metrics")
	for n := range 5 {
		w.sim.Remove(fmt.Sprintf("c-%d", n))
		w.sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("other-%d", n), RegionID: "cn-hangzhou"})
	}
	for _, want := range []int{10, 10, 5} {
		now = now.Add(5 * time.Minute)
		if up := values(t, w.get("/metrics"), "up"); len(up) != want {
			t.Errorf("%d instances, want %d", len(up), want)
		}
	}
}

// A reload lists the instances again at the next scrape: what it excludes leaves, whatever the interval.
func TestAReloadListsInstancesAgain(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneRegion)
	setMany(w, 3)
	w.get("/metrics")
	w.sim.Set(simulator.Instance{InstanceID: "c-new", RegionID: "cn-hangzhou"})
	w.configure(strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, exclude: {instance_ids: [c-1, c-2]}", 1))
	body := w.get("/metrics")
	if got := ids(values(t, body, "up")); got != "c-0 c-new" || values(t, body, "discovery_complete")[""] != 1 {
		t.Errorf("after the reload: %s, complete %v", got, values(t, body, "discovery_complete"))
	}
}

// An instance that several entries find belongs to the first of them, whichever list comes first.
func TestEntriesThatOverlap(t *testing.T) {
	read := make(chan struct{}, 1)
	w := newWorld(t, simulator.Options{Fault: func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Query().Get("Tag") != "" {
			select { // the list without tags is answered first
			case <-read:
			case <-time.After(200 * time.Millisecond):
			}
		}
		return false
	}}, at(noon), strings.Replace(oneRegion, "[{", "[{region_id: cn-hangzhou, tags: {backup: weekly}, max_age: 8d}, {", 1))
	w.sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou", Tags: map[string]string{"backup": "weekly"}, Tasks: lists(backup("bt-1", "COMPLETED", 100)),
		Fault: func(http.ResponseWriter, *http.Request, int) bool { read <- struct{}{}; return false },
	})
	body := w.get("/metrics")
	if values(t, body, "up")["c-1"] != 1 || values(t, body, "condition")["overdue c-1"] != 0 ||
		values(t, body, "max_age_seconds")["c-1"] != 8*24*3600 {
		t.Errorf("served:\n%s", families(body, "up", "condition", "max_age_seconds"))
	}
}

// While the list of one entry fails, an instance that another entry finds belongs to the first by its tags: it has that entry's limits.
func TestEntriesThatOverlapWhileAListFails(t *testing.T) {
	failing := true
	w := newWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
		return failing && r.URL.Query().Get("Tag") != "" && simulator.Denied("sr:DescribeInstances")(rw, r, n)
	}}, at(noon), strings.Replace(oneRegion, "[{",
		"[{region_id: cn-hangzhou, tags: {backup: weekly}, exclude: {instance_ids: [c-3]}, max_age: 8d}, {", 1))
	for id, cycle := range map[string]string{"c-1": "weekly", "c-2": "daily", "c-3": "weekly"} {
		w.sim.Set(simulator.Instance{
			InstanceID: id, RegionID: "cn-hangzhou", Tags: map[string]string{"backup": cycle}, Tasks: lists(backup("bt-1", "COMPLETED", 100)),
		})
	}
	for range 2 {
		body := w.get("/metrics")
		for id, want := range map[string]float64{"c-1": 0, "c-2": 1, "c-3": 1} {
			if values(t, body, "up")[id] != 1 || values(t, body, "condition")["overdue "+id] != want {
				t.Errorf("%s, failing %v:\n%s", id, failing, families(body, "up", "max_age_seconds"))
			}
		}
		failing = false
		w.configure(strings.Replace(oneRegion, "[{",
			"[{region_id: cn-hangzhou, tags: {backup: weekly}, exclude: {instance_ids: [c-3]}, max_age: 8d}, {", 1))
	}
}

// Many tags are no label value that Prometheus may refuse, with the whole scrape. They stay distinct.
func TestManyTagsAreShortened(t *testing.T) {
	many := func(last string) string {
		return "{region_id: cn-hangzhou, tags: {k: " + strings.Repeat("v", 128) + ", last: " + last + "}}"
	}
	w := newWorld(t, simulator.Options{}, at(noon), strings.Replace(oneRegion, "{region_id: cn-hangzhou}", many("a")+", "+many("b"), 1))
	found := map[string]bool{}
	for line := range strings.Lines(families(w.get("/metrics"), "discovery_complete")) {
		if _, rest, has := strings.Cut(line, `tags="`); has {
			tags, _, _ := strings.Cut(rest, `"`)
			found[tags] = true
			if len(tags) > 128 {
				t.Errorf("%d bytes: %s", len(tags), tags)
			}
		}
	}
	if len(found) != 2 {
		t.Errorf("label values %v", found)
	}
}
