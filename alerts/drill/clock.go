package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	minute  = time.Minute
	hour    = time.Hour
	day     = 24 * time.Hour
	history = 90 * day // of healthy backups before the drill begins
	listed  = 12       // tasks that the API lists of an instance, the newest
	maxSkew = 90 * time.Second
)

// span is a time from a moment up to another, which is not part of it.
type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

func during(all []span, t time.Time) bool {
	return slices.ContainsFunc(all, func(s span) bool { return s.has(t) })
}

// chances decides what happens at random between the start and the end of a world.
type chances struct {
	start, end time.Time
	random     *rand.Rand
}

func (c chances) between(low, high time.Duration) time.Duration {
	return low + time.Duration(c.random.Int64N(int64(high-low)+1))
}

func (c chances) chance(p float64) bool { return c.random.Float64() < p }

// spans returns times of random length between low and high, one in every `often` on average.
func (c chances) spans(often, low, high time.Duration) (all []span) {
	for at := c.start; ; {
		at = at.Add(time.Duration(c.random.ExpFloat64()*float64(often)) + minute)
		if !at.Before(c.end) {
			return all
		}
		length := c.between(low, high)
		all = append(all, span{at, at.Add(length)})
		at = at.Add(length)
	}
}

// earliest returns t, or now if t is not set.
func earliest(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}
