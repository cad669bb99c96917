// Package schedule says when a backup is due: a cron expression in a time zone.
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// early is how long before its slot a run may start and still count for it.
const early = 10 * time.Minute

// Schedule is a cron expression of five fields, read in a time zone.
type Schedule struct {
	spec     cron.Schedule
	location *time.Location
}

// wellFormed is a field that crontab accepts by its form. The parser accepts more, and reads a typo such as "1," or "*-" as something else.
var wellFormed = regexp.MustCompile(`^` + item + `(,` + item + `)*$`)

const item = `([*?]|\w+(-\w+)?)(/\d+)?`

// openWeek is a step from a day of the week without an end: Kubernetes counts to Saturday, the parser to the Sunday after it.
var openWeek = regexp.MustCompile(`(^|,)\w+/`)

// Parse reads a cron expression. It returns an error if the expression is malformed, contains a time zone, or never runs.
func Parse(expression string, location *time.Location) (*Schedule, error) {
	fields := strings.Fields(expression)
	if len(fields) != 5 || slices.ContainsFunc(fields, func(field string) bool { return !wellFormed.MatchString(field) }) {
		return nil, fmt.Errorf("not a cron expression of five fields: %q", expression)
	}
	// As crontab and Kubernetes: if day of month and day of week are both restricted, either matches.
	parser := cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom)
	spec, err := parser.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("not a cron expression: %w", err)
	}
	for i, most := range [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}} {
		if err := check(fields[i], most[0], most[1]); err != nil {
			return nil, fmt.Errorf("not a cron expression: %w", err)
		}
	}
	if openWeek.MatchString(fields[4]) {
		return nil, fmt.Errorf("not a cron expression: day of week %q has a step but no end; write a range, such as 1-6/2", fields[4])
	}
	if spec.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("a cron expression that never runs")
	}
	return &Schedule{spec, location}, nil
}

// check returns an error if a number of a field, other than a step, is out of bounds, or if a range goes down. The parser accepts some of
// both: "302/2" and "fri-mon".
func check(field string, low, high int) error {
	for part := range strings.SplitSeq(field, ",") {
		values, _, _ := strings.Cut(part, "/")
		least := low
		for text := range strings.SplitSeq(values, "-") {
			n, ok := number(text)
			switch {
			case !ok: // a star
			case n < low || n > high:
				return fmt.Errorf("%q is not from %d to %d", field, low, high)
			case n < least:
				return fmt.Errorf("the end of %q is before its start", values)
			default:
				least = n
			}
		}
	}
	return nil
}

var names = map[string]int{
	"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6,
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}

// number returns the number that a part of a field stands for.
func number(text string) (n int, ok bool) {
	if n, ok = names[strings.ToLower(text)]; ok {
		return n, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// After returns when the next run is due after a run that started at a time. A start up to ten minutes early counts for its slot.
// A local time that occurs twice counts once, the first time. One that is skipped counts when the clock jumps. It returns the zero time
// if no run is due.
func (s *Schedule) After(start time.Time) time.Time {
	start = start.Add(early)
	// The parser gets a clock without jumps: at jumps it has other rules.
	for wall := clock(start.In(s.location)); ; {
		wall = s.spec.Next(wall)
		if wall.IsZero() {
			return wall
		}
		if at := s.instant(wall); at.After(start) {
			return at
		}
	}
}

// clock returns what the local clock shows at t, as a time in UTC.
func clock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant returns when the clock first shows wall, or jumps over it.
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
