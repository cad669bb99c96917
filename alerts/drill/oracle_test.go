package main

import (
	"fmt"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// fleetOf returns a world with one fleet, whose exporters were all scraped at its start, and an oracle that saw it.
func fleetOf(exporters int, instances ...*instance) (*world, *group, *oracle) {
	w := &world{setting: settings[0]}
	w.start = time.Date(2026, time.January, 20, 0, 0, 0, 0, time.UTC)
	w.now = w.start
	g := &group{kind: "shards", cluster: "east", job: "shards", instances: instances, shards: exporters, resized: w.start.Add(history)}
	w.groups, w.instances = []*group{g}, instances
	o := newOracle(w)
	for n := range exporters {
		e := &exporter{index: n + 1, group: g, place: n, name: string(rune('a' + n)), scraped: true}
		e.process = &process{shard: fleet.Shard{Index: n, Total: exporters}}
		e.target = e.label()
		g.exporters = append(g.exporters, e)
		o.targets[e] = target{e.target, false, w.now}
	}
	return w, g, o
}

func downOf(o *oracle, g *group) verdict {
	v := map[page]verdict{}
	o.judgeGroup(g, v)
	return v[page{downKind, g.subject()}]
}

// TestLostShard judges a fleet that has lost a shard without trace.
func TestLostShard(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w *world, g *group, o *oracle, i *instance)
		want   verdict
	}{
		{"its instances are known", func(*world, *group, *oracle, *instance) {}, yes},
		{"it had no instance left", func(_ *world, _ *group, o *oracle, i *instance) { delete(o.memory, i.id) }, either},
		{"a short stop of Prometheus", func(_ *world, _ *group, o *oracle, _ *instance) { o.resume(2 * minute) }, yes},
		{"a long stop of Prometheus", func(_ *world, _ *group, o *oracle, _ *instance) { o.resume(2 * hour) }, either},
		{"another number of shards", func(_ *world, g *group, _ *oracle, _ *instance) { g.exporters[0].process.shard.Total = 1 }, no},
		{"the number of shards is being changed", func(w *world, g *group, _ *oracle, _ *instance) {
			third := *g.exporters[0]
			third.process = &process{shard: fleet.Shard{Index: 0, Total: 1}}
			g.exporters = append(g.exporters, &third)
		}, either},
		{"read since a long stop", func(_ *world, _ *group, o *oracle, i *instance) {
			o.resume(2 * hour)
			o.take(i, map[string]int{"unavailable": 1}, facts{})
		}, yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &instance{id: "c-1", cluster: "east", region: regions[0]}
			w, g, o := fleetOf(2, i)
			o.take(i, map[string]int{"unavailable": 1}, facts{})
			c.before(w, g, o, i)
			g.exporters[1].scraped, g.exporters[1].target = false, ""
			w.now = w.now.Add(5 * minute)
			if got := downOf(o, g); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestForgottenIdentity judges an exporter that comes back with another provider of credentials after some time.
func TestForgottenIdentity(t *testing.T) {
	for _, c := range []struct {
		down time.Duration
		want verdict
	}{
		{hour, yes}, {25 * hour, yes}, {26*hour + 30*minute, either}, {27*hour + 11*minute, either}, {28*hour + minute, no},
	} {
		t.Run(c.down.String(), func(t *testing.T) {
			w, g, o := fleetOf(1)
			e, v := g.exporters[0], map[page]verdict{}
			for ; w.now.Before(w.start.Add(3 * hour)); w.now = w.now.Add(minute) {
				o.judgeIdentity(g, v)
			}
			w.now = w.now.Add(c.down - minute)
			e.identities = []span{{w.now, w.now.Add(day)}}
			o.judgeIdentity(g, v)
			if got := v[page{identityKind, g.subject()}]; got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestForgottenInstances judges a region where the API denies most of the instances that Prometheus knows of after a long stop, or once the
// exporter has been gone for so long that it may forget the others.
func TestForgottenInstances(t *testing.T) {
	var all []*instance
	for n := range 20 {
		all = append(all, &instance{id: fmt.Sprint("c-", n), cluster: "east", region: regions[0], watched: span{to: time.Unix(1<<40, 0)}})
	}
	w, g, o := fleetOf(1, all...)
	judge := func() verdict {
		v := map[page]verdict{}
		for _, i := range all {
			o.judgeInstance(i, v)
		}
		o.judgeOutage("east", regions[0], v, regionRejectedKind, rejectedKind)
		return v[page{regionRejectedKind, subject("east", regions[0])}]
	}
	for n, i := range all {
		o.take(i, map[string]int{[]string{"", "forbidden"}[n/12]: 1}, facts{})
	}
	if got := judge(); got != no {
		t.Errorf("got %d, want no: 8 of 20 are denied", got)
	}
	g.exporters[0].scraped = false
	for _, i := range all[:12] {
		o.observe(g, i, yes)
	}
	if got := judge(); got != no {
		t.Errorf("got %d, want no: the exporter has not been gone for long", got)
	}
	for _, i := range all[:12] {
		o.observe(g, i, either)
	}
	if got := judge(); got != either {
		t.Errorf("got %d, want either: the other 12 may be forgotten", got)
	}
	o.resume(2 * hour)
	w.now = w.now.Add(2 * hour)
	for n, i := range all {
		o.take(i, map[string]int{[]string{"unavailable", "forbidden"}[n/12]: 1}, facts{})
	}
	if got := judge(); got != either {
		t.Errorf("got %d, want either: 8 are denied, and nothing is known of the others", got)
	}
}

// TestRemovedBeforeAnExporterGoes judges an instance that is removed some time before an exporter of its fleet goes missing.
func TestRemovedBeforeAnExporterGoes(t *testing.T) {
	for _, c := range []struct {
		between time.Duration
		want    verdict
	}{
		{bridged, either}, {bridged + minute, no},
	} {
		t.Run(c.between.String(), func(t *testing.T) {
			i := &instance{id: "c-1", cluster: "east", region: regions[0]}
			w, g, o := fleetOf(2, i)
			i.watched.to = w.now
			o.take(i, map[string]int{"unavailable": 1}, facts{})
			judge := func(missing verdict) verdict {
				v := map[page]verdict{}
				o.observe(g, i, missing)
				o.judgeInstance(i, v)
				return v[page{unreadableKind, i.subject()}]
			}
			if got := judge(no); got != no {
				t.Errorf("got %d, want no: all exporters answer", got)
			}
			w.now = w.now.Add(c.between)
			if got := judge(yes); got != c.want {
				t.Errorf("while an exporter is missing: got %d, want %d", got, c.want)
			}
			w.now = w.now.Add(minute)
			if got := judge(no); got != no {
				t.Errorf("once it is back: got %d, want no", got)
			}
		})
	}
}

// TestAwaited judges what exporters have not said yet, because they have not read an instance's policies, or not listed its region.
func TestAwaited(t *testing.T) {
	policies := []policyFact{{}}
	for _, c := range []struct {
		name  string
		knows facts
		kind  kind
		known verdict
		said  verdict
		want  verdict
	}{
		{"a run becomes stuck", facts{readsPolicies: true}, stuckKind, no, yes, either},
		{"a run stays stuck", facts{readsPolicies: true}, stuckKind, yes, yes, yes},
		{"a run ends", facts{readsPolicies: true}, stuckKind, yes, no, no},
		{"a retention becomes long enough", facts{readsPolicies: true}, retentionKind, yes, no, either},
		{"a retention stays long enough", facts{readsPolicies: true}, retentionKind, no, no, no},
		{"a retention becomes too short", facts{readsPolicies: true}, retentionKind, no, yes, yes},
		{"the policies are known", facts{readsPolicies: true, policies: policies}, stuckKind, no, yes, yes},
		{"no policies are read", facts{}, stuckKind, no, yes, yes},
		{"a subscription was ending", facts{unlisted: true}, subscriptionKind, yes, no, either},
		{"a subscription was not ending", facts{unlisted: true}, subscriptionKind, no, no, no},
		{"the region is listed", facts{}, subscriptionKind, yes, no, no},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := map[kind]verdict{c.kind: c.said}
			c.knows.await(said, map[kind]verdict{c.kind: c.known})
			if said[c.kind] != c.want {
				t.Errorf("got %d, want %d", said[c.kind], c.want)
			}
		})
	}
}
