package main

import (
	"fmt"
	"hash/fnv"
	"time"
)

// fault is a time when the API fails, for one instance or for a region.
type fault struct {
	span
	region, id string
	kind       string  // unavailable, network, throttled, denied
	share      float64 // of the reads
}

var regions = []string{"cn-hangzhou", "cn-shanghai", "ap-southeast-1"}

// apiFaults returns the failures of the API.
func (c chances) apiFaults(instances []*instance, rate float64) (faults []fault) {
	add := func(often, low, high time.Duration, kind string, share float64, scope func(*fault)) {
		for _, s := range c.spans(time.Duration(float64(often)/rate), low, high) {
			f := fault{span: s, kind: kind, share: share}
			scope(&f)
			faults = append(faults, f)
		}
	}
	region := func(f *fault) { f.region = regions[c.random.IntN(len(regions))] }
	one := func(f *fault) {
		i := instances[c.random.IntN(len(instances))]
		f.region, f.id = i.region, i.id
	}
	broken := []string{"unavailable", "network"}[c.random.IntN(2)]
	// Noise: short, or not of every read.
	add(4*day, minute, 20*minute, broken, 1, region)
	add(6*day, minute, 20*minute, "throttled", 0.7, region)
	add(3*day, hour, day, "unavailable", 0.2, one)
	add(6*day, minute, 4*minute, "denied", 1, one)
	// Incidents.
	add(20*day, 45*minute, 12*hour, broken, 1, region)
	add(60*day, 25*hour, 40*hour, broken, 1, region)
	add(15*day, 45*minute, 9*hour, "unavailable", 1, one)
	add(20*day, 45*minute, 5*hour, "throttled", 0.7, region)
	add(20*day, 45*minute, 5*hour, "throttled", 1, region)
	add(15*day, 20*minute, 2*day, "denied", 1, one)
	return faults
}

// faultOf returns how a read of an instance by an exporter fails at a time; empty if it does not.
func faultOf(faults []fault, now time.Time, i *instance, reader int) string {
	for n, f := range faults {
		if !f.has(now) || f.region != i.region || f.id != "" && f.id != i.id {
			continue
		}
		h := fnv.New64a()
		fmt.Fprint(h, i.id, now.Unix(), reader, n)
		if float64(h.Sum64()>>11)/(1<<53) < f.share {
			return f.kind
		}
	}
	return ""
}
