package main

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// fault is a time when the API fails: in a region, for one instance, for one exporter or in one cluster.
type fault struct {
	span
	kind    string
	share   float64 // of the reads
	region  string  // empty for all
	id      string  // of the instance; empty for all
	reader  int     // index of the exporter; 0 for all
	cluster string  // empty for all
}

// lists is a fault of DescribeInstances. All others are faults of DescribeBackups.
const lists = "lists"

var regions = []string{"cn-hangzhou", "ap-southeast-1"}

// faults are the failures of the API.
type faults []fault

func (c chances) apiFaults(instances []*instance, groups []*group, rate float64) (all faults) {
	region := func(f *fault) { f.region = regions[c.random.IntN(len(regions))] }
	one := func(f *fault) {
		i := instances[c.random.IntN(len(instances))]
		f.region, f.id = i.region, i.id
	}
	reader := func(f *fault) {
		g := groups[c.random.IntN(len(groups))]
		f.reader = g.exporters[c.random.IntN(len(g.exporters))].index
	}
	cluster := func(f *fault) { f.cluster = groups[c.random.IntN(len(groups))].cluster }
	for _, k := range []struct {
		often, shortest, longest time.Duration
		kind                     string
		share                    float64
		scope                    func(*fault)
	}{
		// Noise: short, or not of every read.
		{8 * day, minute, 20 * minute, "unavailable", 1, region},
		{8 * day, minute, 20 * minute, "network", 1, region},
		{6 * day, minute, 20 * minute, "throttled", 0.7, region},
		{3 * day, hour, day, "unavailable", 0.2, one},
		{6 * day, minute, 4 * minute, "forbidden", 1, one},
		{6 * day, minute, 5 * minute, "unauthorized", 1, reader},
		// Incidents.
		{20 * day, 45 * minute, 12 * hour, "unavailable", 1, region},
		{60 * day, 25 * hour, 40 * hour, "network", 1, region},
		{15 * day, 45 * minute, 9 * hour, "unavailable", 1, one},
		{20 * day, 45 * minute, 5 * hour, "throttled", 0.7, region},
		{20 * day, 45 * minute, 5 * hour, "throttled", 1, region},
		{15 * day, 20 * minute, 2 * day, "forbidden", 1, one},
		// A token service that fails. The provider of the credentials stays.
		{20 * day, 45 * minute, 9 * hour, "unauthorized", 1, cluster},
		{20 * day, 45 * minute, 9 * hour, "network", 1, reader},
		{15 * day, hour, 2 * day, lists, 1, region},
	} {
		for _, s := range c.spans(time.Duration(float64(k.often)/rate), k.shortest, k.longest) {
			f := fault{span: s, kind: k.kind, share: k.share}
			k.scope(&f)
			all = append(all, f)
		}
	}
	return all
}

// of returns how a read of an instance by an exporter fails at a time; empty if it does not.
func (all faults) of(t time.Time, i *instance, reader int) string {
	for n, f := range all {
		if f.kind == lists || !f.has(t) || !f.hits(i, reader) {
			continue
		}
		h := fnv.New64a()
		fmt.Fprint(h, i.id, t.Unix(), reader, n)
		if float64(h.Sum64()>>11)/(1<<53) < f.share {
			return f.kind
		}
	}
	return ""
}

// unlisted reports whether the instances of a region cannot be listed at a time.
func (all faults) unlisted(t time.Time, region string) bool {
	return slices.ContainsFunc(all, func(f fault) bool { return f.kind == lists && f.has(t) && f.region == region })
}

func (f fault) hits(i *instance, reader int) bool {
	return (f.region == "" || f.region == i.region) && (f.id == "" || f.id == i.id) &&
		(f.reader == 0 || f.reader == reader) && (f.cluster == "" || f.cluster == i.cluster)
}
