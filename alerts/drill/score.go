package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// score compares the pages that fire with those that should.
type score struct {
	setting  setting
	waits    map[kind]time.Duration
	report   func(time.Time, page, string) // called for each mistake; may be nil
	last     time.Time                     // the last evaluation
	trackers map[page]*tracker
	kinds    map[kind]*tally
}

// tally is the result for one kind of alert.
type tally struct {
	incidents, inTime, late, missed, resolved, falsePages int
	delays                                                []time.Duration
}

// tracker follows one page through its incidents. An incident is an uninterrupted period in which the page is allowed and, from
// some moment on, required.
type tracker struct {
	possibleSince time.Time // start of the current run of verdicts either or yes
	certainSince  time.Time // start of the current run of verdicts yes
	firstCertain  time.Time // first verdict yes of the incident; the delay counts from here
	paged         time.Time
	counted       bool      // the page is in the tally
	required      bool      // the incident has lasted so long that it must page
	allowedUntil  time.Time // the page may still fire until then
	wasFiring     bool      // at the previous evaluation
	wasFalse      bool      // at the previous evaluation, it fired without being allowed to
}

func newScore(of setting, report func(time.Time, page, string)) *score {
	s := &score{setting: of, waits: waits, report: report, trackers: map[page]*tracker{}, kinds: map[kind]*tally{}}
	for k := range waits {
		s.kinds[k] = &tally{}
	}
	return s
}

func (s *score) tally(k kind) *tally {
	if s.kinds[k] == nil {
		s.kinds[k] = &tally{}
	}
	return s.kinds[k]
}

// observe scores one evaluation. It always reports false: a score never has enough.
func (s *score) observe(now time.Time, truth map[page]verdict, firing map[page]bool) (enough bool) {
	s.last = now
	for p := range truth {
		if s.trackers[p] == nil {
			s.trackers[p] = &tracker{}
		}
	}
	for p := range firing {
		if s.trackers[p] == nil {
			s.trackers[p] = &tracker{}
		}
	}
	for p, t := range s.trackers {
		if mistake := t.observe(now, truth[p], firing[p], s.waits[p.kind], s.setting, s.tally(p.kind)); mistake != "" && s.report != nil {
			s.report(now, p, mistake)
		}
	}
	return false
}

// observe scores one evaluation and returns the mistake in it, if any.
func (t *tracker) observe(now time.Time, should verdict, fires bool, wait time.Duration, in setting, sum *tally) (mistake string) {
	slack := in.slack()
	switch should {
	case no:
		// An alert may see the end of its cause two evaluations later, and fire just then: the rules hold what they know of a removed instance
		// for a moment, and the alert may see that record an evaluation later.
		until := now.Add(in.step)
		if !t.possibleSince.IsZero() && lasted(t.possibleSince, until) >= wait-in.early() && t.allowedUntil.Before(until) {
			t.allowedUntil = until
		}
		mistake = t.end(sum)
	case either:
		t.certainSince = time.Time{}
	case yes:
		t.certainSince, t.firstCertain = earliest(t.certainSince, now), earliest(t.firstCertain, now)
	}
	if should != no {
		t.possibleSince = earliest(t.possibleSince, now)
	}
	if !t.required && lasted(t.certainSince, now) >= wait+slack {
		t.required = true
		sum.incidents++
	}
	allowed := !t.possibleSince.IsZero() && lasted(t.possibleSince, now) >= wait-in.early()
	if allowed {
		t.allowedUntil = now.Add(slack)
	}
	if fires && allowed {
		t.paged = earliest(t.paged, now)
	} else if !t.counted {
		t.paged = time.Time{}
	}
	if !t.counted && !t.firstCertain.IsZero() && !t.paged.IsZero() {
		t.counted = true
		if lasted(t.certainSince, now) > wait+slack {
			sum.late++
			mistake = "late"
		} else {
			sum.inTime++
		}
		if !t.required { // a page within an incident too short to require one
			t.required = true
			sum.incidents++
		}
		sum.delays = append(sum.delays, max(0, t.paged.Sub(t.firstCertain)))
	}
	// An alert may see a record one evaluation later, so an alert that resolves just after a doubt resolves because of it.
	if t.required && should == yes && !t.certainSince.Equal(now) && t.wasFiring && !fires {
		sum.resolved++
		mistake = "wrongly resolved"
	}
	falsely := fires && now.After(t.allowedUntil)
	if falsely && !t.wasFalse {
		sum.falsePages++
		mistake = "false"
	}
	t.wasFalse, t.wasFiring = falsely, fires
	return mistake
}

// lasted is the time since t, negative if t is not set.
func lasted(t, now time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return now.Sub(t)
}

func (t *tracker) end(sum *tally) (mistake string) {
	if t.required && !t.counted {
		sum.missed++
		mistake = "missed"
	}
	*t = tracker{allowedUntil: t.allowedUntil, wasFiring: t.wasFiring, wasFalse: t.wasFalse}
	return mistake
}

// finish ends the incidents that last until the end.
func (s *score) finish() {
	for p, t := range s.trackers {
		if mistake := t.end(s.tally(p.kind)); mistake != "" && s.report != nil {
			s.report(s.last, p, mistake)
		}
	}
}

// add adds another score's results to this one.
func (s *score) add(o *score) {
	for k, t := range o.kinds {
		sum := s.tally(k)
		sum.incidents += t.incidents
		sum.inTime += t.inTime
		sum.late += t.late
		sum.missed += t.missed
		sum.resolved += t.resolved
		sum.falsePages += t.falsePages
		sum.delays = append(sum.delays, t.delays...)
	}
}

// total sums up all kinds.
func (s *score) total() (sum tally) {
	for _, t := range s.kinds {
		sum.incidents += t.incidents
		sum.inTime += t.inTime
		sum.late += t.late
		sum.missed += t.missed
		sum.resolved += t.resolved
		sum.falsePages += t.falsePages
		sum.delays = append(sum.delays, t.delays...)
	}
	return sum
}

// mistakes counts missed, late, wrongly resolved and false pages.
func (s *score) mistakes() int {
	t := s.total()
	return t.missed + t.late + t.resolved + t.falsePages
}

func years(d time.Duration) float64 { return d.Hours() / 24 / 365.25 }

func (s *score) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| alert\t| incidents\t| in time\t| late\t| missed\t| wrongly resolved\t| median delay\t| worst\t| false pages\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	row := func(name string, t *tally) {
		slices.Sort(t.delays)
		median, worst := time.Duration(0), time.Duration(0)
		if n := len(t.delays); n > 0 {
			median, worst = t.delays[n/2], t.delays[n-1]
		}
		fmt.Fprintf(w, "| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t| %s\t| %d\t|\n",
			name, t.incidents, t.inTime, t.late, t.missed, t.resolved, inMinutes(median), inMinutes(worst), t.falsePages)
	}
	kinds := make([]kind, 0, len(s.kinds))
	for k := range s.kinds {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int { return cmp.Or(cmp.Compare(a.alert, b.alert), cmp.Compare(b.severity, a.severity)) })
	for _, k := range kinds {
		row(k.alert+" ("+k.severity+")", s.kinds[k])
	}
	total := s.total()
	row("all", &total)
	w.Flush()
}

func inMinutes(d time.Duration) string { return fmt.Sprintf("%d min", int(d.Minutes())) }
