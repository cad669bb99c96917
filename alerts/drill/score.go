package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// score compares what pages with what should.
type score struct {
	step     time.Duration
	waits    map[kind]time.Duration
	report   func(time.Time, page, string) // of what is wrong; may be nil
	trackers map[page]*tracker
	kinds    map[kind]*tally
}

// tally is the result for one kind of alert.
type tally struct {
	incidents, inTime, late, missed, resolved, falsePages int
	delays                                                []time.Duration
}

// tracker follows one page through its incidents. An incident is a time without a gap in which it may page, and at some
// moment must.
type tracker struct {
	may      time.Time // since when it may hold
	sure     time.Time // since when it surely does, without a doubt in between
	known    time.Time // when that could first be known in this incident
	paged    time.Time
	counted  bool      // as paged
	required bool      // it has lasted for so long that it must page
	over     time.Time // until when it may still page
	firing   bool      // before
	wrong    bool      // fired before when it must not
}

func newScore(step time.Duration, report func(time.Time, page, string)) *score {
	s := &score{step: step, waits: waits, report: report, trackers: map[page]*tracker{}, kinds: map[kind]*tally{}}
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

// observe takes in one evaluation.
func (s *score) observe(now time.Time, truth map[page]verdict, firing map[page]bool) {
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
		if wrong := t.observe(now, truth[p], firing[p], s.waits[p.kind], 2*s.step, s.tally(p.kind)); wrong != "" && s.report != nil {
			s.report(now, p, wrong)
		}
	}
}

// observe takes in one evaluation and returns what was wrong with it.
func (t *tracker) observe(now time.Time, should verdict, fires bool, wait, slack time.Duration, sum *tally) (wrong string) {
	switch should {
	case no:
		wrong = t.end(sum)
	case either:
		t.sure = time.Time{}
	case yes:
		t.sure, t.known = earliest(t.sure, now), earliest(t.known, now)
	}
	if should != no {
		t.may = earliest(t.may, now)
	}
	if !t.required && lasted(t.sure, now) >= wait+slack {
		t.required = true
		sum.incidents++
	}
	allowed := lasted(t.may, now) >= wait
	if allowed {
		t.over = now.Add(slack)
	}
	if fires && allowed {
		t.paged = earliest(t.paged, now)
	} else if !t.counted {
		t.paged = time.Time{}
	}
	if !t.counted && !t.known.IsZero() && !t.paged.IsZero() {
		t.counted = true
		if lasted(t.sure, now) > wait+slack {
			sum.late++
			wrong = "late"
		} else {
			sum.inTime++
		}
		if !t.required { // an incident all the same, though it might end before it must page
			t.required = true
			sum.incidents++
		}
		sum.delays = append(sum.delays, max(0, t.paged.Sub(t.known)))
	}
	if t.required && should == yes && t.firing && !fires {
		sum.resolved++
		wrong = "wrongly resolved"
	}
	falsely := fires && now.After(t.over)
	if falsely && !t.wrong {
		sum.falsePages++
		wrong = "false"
	}
	t.wrong, t.firing = falsely, fires
	return wrong
}

func earliest(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}

// lasted is the time since t, less than nothing if it is not set.
func lasted(t, now time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return now.Sub(t)
}

func (t *tracker) end(sum *tally) (wrong string) {
	if t.required && !t.counted {
		sum.missed++
		wrong = "missed"
	}
	*t = tracker{over: t.over, firing: t.firing, wrong: t.wrong}
	return wrong
}

// finish ends the incidents that last until the end.
func (s *score) finish() {
	for p, t := range s.trackers {
		t.end(s.tally(p.kind))
	}
}

// add puts another score's results to this one's.
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

// mistakes counts what the rules must not do.
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
