package main

import (
	"fmt"
	"hash/fnv"
	"time"
)

// fault is a time when the API fails: in a region, for one instance, or for one exporter.
type fault struct {
	span
	kind   string
	share  float64 // of the reads
	region string  // empty for all
	id     string  // of the instance; empty for all
	reader int     // index of the exporter; 0 for all
}

// unlisted is a fault of DescribeInstances. All others are faults of DescribeBackups.
const unlisted = "unlisted"

var regions = []string{"cn-hangzhou", "ap-southeast-1"}

// apiFaults returns the failures of the API.
func (w *world) apiFaults(rate float64) (faults []fault) {
	region := func(f *fault) { f.region = regions[w.random.IntN(len(regions))] }
	one := func(f *fault) {
		i := w.instances[w.random.IntN(len(w.instances))]
		f.region, f.id = i.region, i.id
	}
	reader := func(f *fault) {
		g := w.groups[w.random.IntN(len(w.groups))]
		f.reader = g.exporters[w.random.IntN(len(g.exporters))].index
	}
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
		{20 * day, 45 * minute, 9 * hour, "unauthorized", 1, reader},
		{20 * day, 45 * minute, 9 * hour, "network", 1, reader},
		{15 * day, hour, 2 * day, unlisted, 1, region},
	} {
		for _, s := range w.spans(time.Duration(float64(k.often)/rate), k.shortest, k.longest) {
			f := fault{span: s, kind: k.kind, share: k.share}
			k.scope(&f)
			faults = append(faults, f)
		}
	}
	return faults
}

// faultOf returns how a read of an instance by an exporter fails now; empty if it does not.
func (w *world) faultOf(i *instance, reader int) string {
	for n, f := range w.faults {
		if f.kind == unlisted || !f.has(w.now) || !f.hits(i.region, i.id, reader) {
			continue
		}
		h := fnv.New64a()
		fmt.Fprint(h, i.id, w.now.Unix(), reader, n)
		if float64(h.Sum64()>>11)/(1<<53) < f.share {
			return f.kind
		}
	}
	return ""
}

// isUnlisted reports whether the instances of a region cannot be listed now.
func (w *world) isUnlisted(region string) bool {
	for _, f := range w.faults {
		if f.kind == unlisted && f.has(w.now) && f.region == region {
			return true
		}
	}
	return false
}

func (f fault) hits(region, id string, reader int) bool {
	return (f.region == "" || f.region == region) && (f.id == "" || f.id == id) && (f.reader == 0 || f.reader == reader)
}
