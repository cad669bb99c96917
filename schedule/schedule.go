// Package schedule says when a backup was to run: a cron expression in a time zone.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// early is how long before its time a run may begin and still be the one of that time.
const early = 10 * time.Minute

// Schedule is a cron expression of five fields, read in a time zone.
type Schedule struct {
	spec     cron.Schedule
	location *time.Location
}

// Parse reads a cron expression. It is an error if it is malformed, names a time zone of its own, or never runs.
func Parse(expression string, location *time.Location) (*Schedule, error) {
	if len(strings.Fields(expression)) != 5 || strings.Contains(expression, "=") {
		return nil, fmt.Errorf("not a cron expression of five fields: %q", expression)
	}
	spec, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("not a cron expression: %w", err)
	}
	if spec.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("a cron expression that never runs")
	}
	return &Schedule{spec, location}, nil
}

// After returns when the next run is due after the one that began at a time. A start up to ten minutes early counts
// for the run that it is early for. A local time that occurs twice counts once, the first time;
// one that is skipped counts at the moment the clock jumps. It returns the zero time if there is none.
func (s *Schedule) After(began time.Time) time.Time {
	began = began.Add(early)
	// The parser counts in a clock without jumps, for at jumps it knows other rules.
	for wall := clock(began.In(s.location)); ; {
		if wall = s.spec.Next(wall); wall.IsZero() {
			return wall
		}
		if at := s.instant(wall); at.After(began) {
			return at
		}
	}
}

// clock is what the clock shows at t, as a time in UTC.
func clock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is when the clock first shows wall, or jumps over it.
func (s *Schedule) instant(wall time.Time) time.Time {
	at := func(near time.Time) time.Time {
		_, offset := near.In(s.location).Zone()
		return wall.Add(-time.Duration(offset) * time.Second).In(s.location)
	}
	before, after := at(wall.Add(-24*time.Hour)), at(wall.Add(24*time.Hour))
	first, second := before, after
	if second.Before(first) {
		first, second = second, first
	}
	for _, t := range []time.Time{first, second} {
		if clock(t).Equal(wall) {
			return t
		}
	}
	jump, _ := before.ZoneBounds()
	return jump
}
