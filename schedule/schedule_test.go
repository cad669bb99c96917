package schedule

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	for _, c := range []struct{ name, expression, zone, began, want string }{
		{"the same day", "30 2 * * *", "UTC", "2026-03-04T01:00:00Z", "2026-03-04T02:30:00Z"},
		{"on time", "30 2 * * *", "UTC", "2026-03-04T02:30:00Z", "2026-03-05T02:30:00Z"},
		{"late", "30 2 * * *", "UTC", "2026-03-04T09:00:00Z", "2026-03-05T02:30:00Z"},
		{"ten minutes early", "30 2 * * *", "UTC", "2026-03-04T02:20:00Z", "2026-03-05T02:30:00Z"},
		{"earlier than that", "30 2 * * *", "UTC", "2026-03-04T02:19:59Z", "2026-03-04T02:30:00Z"},
		{"over a weekend", "30 2 * * 1-5", "Asia/Shanghai", "2026-03-05T18:30:00Z", "2026-03-08T18:30:00Z"},
		{"a zone", "30 2 * * *", "Asia/Shanghai", "2026-03-04T12:00:00Z", "2026-03-04T18:30:00Z"},
		{"half an hour's zone", "0 0 * * *", "Asia/Kolkata", "2026-03-04T12:00:00Z", "2026-03-04T18:30:00Z"},
		{"skipped, at the jump", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"after the skipped one", "30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"just after a jump", "0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"twice, the first time", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"twice, counts once", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z"},
		{"midnight skipped", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"},
		{"a jump of half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z"},
		{"weekly", "0 4 * * 0", "UTC", "2026-03-01T04:00:00Z", "2026-03-08T04:00:00Z"},
		{"either day", "0 2 1,15 * 1", "UTC", "2026-11-10T02:00:00Z", "2026-11-15T02:00:00Z"},
		{"either day, Monday first", "0 2 1,15 * 1", "UTC", "2026-11-15T02:00:00Z", "2026-11-16T02:00:00Z"},
		{"a leap day or a Monday", "0 2 29 2 1", "UTC", "2026-01-10T02:00:00Z", "2026-02-02T02:00:00Z"},
		{"by name", "0 2 * Jan-mar MON-fri/2", "UTC", "2026-03-03T02:00:00Z", "2026-03-04T02:00:00Z"},
		{"to Sunday", "0 2 * * 6-7", "UTC", "2026-03-02T02:00:00Z", "2026-03-07T02:00:00Z"},
		{"leap day", "0 4 29 2 *", "UTC", "2026-03-01T04:00:00Z", "2028-02-29T04:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			location, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(c.expression, location)
			if err != nil {
				t.Fatal(err)
			}
			began, err := time.Parse(time.RFC3339, c.began)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.After(began).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("after %s: %s, want %s", c.began, got, c.want)
			}
		})
	}
}

// Each day has one run, in every hour of a year with both jumps.
func TestOneRunADay(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "America/New_York"} {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range []string{"0 0 * * *", "30 1 * * *", "30 2 * * *", "45 23 * * *"} {
			s, err := Parse(expression, location)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2025, 12, 31, 12, 0, 0, 0, location)
			for day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() == 2026; day = day.AddDate(0, 0, 1) {
				at = s.After(at)
				if local := at.In(location); local.YearDay() != day.YearDay() && expression != "45 23 * * *" {
					t.Fatalf("%s in %s: %v on day %v", expression, zone, local, day.Format(time.DateOnly))
				}
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, expression := range []string{
		"", "* * * *", "* * * * * *", "61 * * * *", "x * * * *", "@daily", "@every 1h", "TZ=UTC 1 2 * *", "CRON_TZ=x 1 2 * * *", "0 0 30 2 *",
		"0 0 1 1 ,", "0 0 1, 1 *", "0 0 1 1 *-", "0 0 -1 1 *", "0 0 1- 1 *", "0 0 1/ 1 *", "0 0 1 1 *5",
		"1 * 302/2 2/2 2/1", "0 0 0 1 *", "0 0 1 13 *", "0 0 1 1 8", "60/5 0 1 1 *", "0 0 1//2 1 *",
		"0 2 * * 6/1", "0 2 * * 1,2/2", "0 2 * * mon/2", "0 2 * * 6/0",
		"0 22-2 * * *", "0 2 * * 5-1", "0 2 * * fri-mon", "0 2 * nov-feb *", "0 2 * * sat-sun", "0 2 * * 5-1/2",
	} {
		if s, err := Parse(expression, time.UTC); err == nil {
			t.Errorf("%q is %+v", expression, s)
		}
	}
}

// field is a second implementation of a cron field, for the test below.
func field(text string, low, high int) (values map[int]bool, star bool) {
	values = map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		part, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			by, _ = strconv.Atoi(step)
		}
		from, to := low, high
		if part == "*" {
			star = star || by == 1
		} else {
			first, last, isRange := strings.Cut(part, "-")
			from, _ = strconv.Atoi(first)
			switch {
			case isRange:
				to, _ = strconv.Atoi(last)
			case !stepped:
				to = from
			}
		}
		for v := from; v <= to; v += by {
			values[v] = true
		}
	}
	return values, star
}

// Days of month and of week are combined as crontab(5) and Kubernetes have it: both must match if one is a star, else either.
func TestDaysAgainstASecondImplementation(t *testing.T) {
	for _, dom := range []string{"*", "1", "1,15", "29", "31", "5-9", "1-31/10", "*/10", "10/7"} {
		for _, dow := range []string{"*", "1", "0", "6", "1-5", "1,3", "*/2", "1-5/2"} {
			for _, month := range []string{"*", "2", "11-12"} {
				expression := "30 2 " + dom + " " + month + " " + dow
				s, err := Parse(expression, time.UTC)
				if expression == "30 2 31 2 *" {
					if err == nil {
						t.Error("31 February is accepted")
					}
					continue
				}
				if err != nil {
					t.Fatal(expression, err)
				}
				days, anyDay := field(dom, 1, 31)
				weekdays, anyWeekday := field(dow, 0, 6)
				months, _ := field(month, 1, 12)
				at := time.Date(2026, 1, 10, 2, 30, 0, 0, time.UTC)
				for range 12 {
					want := at
					for found := false; !found; {
						want = want.AddDate(0, 0, 1)
						onDay, onWeekday := days[want.Day()], weekdays[int(want.Weekday())]
						found = months[int(want.Month())] && (onDay && onWeekday || !anyDay && !anyWeekday && (onDay || onWeekday))
					}
					if got := s.After(at); !got.Equal(want) {
						t.Fatalf("%s after %v: %v, want %v", expression, at, got, want)
					}
					at = want
				}
			}
		}
	}
}

func TestTenMinutesEarlyExactly(t *testing.T) {
	s, err := Parse("30 2 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	slot := time.Date(2026, 3, 4, 2, 30, 0, 0, time.UTC)
	if got := s.After(slot.Add(-10 * time.Minute)); !got.Equal(slot.AddDate(0, 0, 1)) {
		t.Errorf("exactly ten minutes early counts for the next slot: %v", got)
	}
	if got := s.After(slot.Add(-10*time.Minute - time.Nanosecond)); !got.Equal(slot) {
		t.Errorf("a nanosecond earlier counts for the slot before: %v", got)
	}
}

// Any expression of numbers runs when the second implementation says so.
func FuzzAfter(f *testing.F) {
	start := time.Date(2026, 1, 10, 2, 30, 0, 0, time.UTC)
	for _, expression := range []string{
		"30 2 * * *", "0 2 1,15 * 1", "*/7 1-5/2 29 2 1", "0 2 31 */2 0-6/3", "5/20 23 */10 12 *", "0 0 1 1 ,", "0 0 1 1 1-0",
	} {
		f.Add(expression, uint32(1))
	}
	f.Fuzz(func(t *testing.T, expression string, later uint32) {
		s, err := Parse(expression, time.UTC)
		if err != nil || strings.Trim(expression, "0123456789*/,- ") != "" {
			return
		}
		var values [5]map[int]bool
		var stars [5]bool
		text := strings.Fields(expression)
		for i, most := range [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
			if strings.Contains(","+text[i]+",", ",,") {
				return // the library ignores empty items
			}
			if strings.Contains(text[i], "7") && i == 4 {
				return // Sunday, in some implementations
			}
			values[i], stars[i] = field(text[i], most[0], most[1])
		}
		at := start.Add(time.Duration(later) * time.Second)
		want := at.Add(early).Truncate(time.Minute).Add(time.Minute)
		for last := want.AddDate(1, 0, 0); want.Before(last); {
			onDay, onWeekday := values[2][want.Day()], values[4][int(want.Weekday())]
			onDate := onDay && onWeekday || !stars[2] && !stars[4] && (onDay || onWeekday)
			switch {
			case !values[3][int(want.Month())] || !onDate:
				want = want.Truncate(24*time.Hour).AddDate(0, 0, 1)
			case !values[1][want.Hour()] || !values[0][want.Minute()]:
				want = want.Add(time.Minute)
			default:
				if got := s.After(at); !got.Equal(want) {
					t.Fatalf("%s after %v: %v, want %v", expression, at, got, want)
				}
				return
			}
		}
	})
}
