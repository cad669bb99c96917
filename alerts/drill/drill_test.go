package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func ourRules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// small is a drill of a few days in which every kind of incident occurs.
func small(t *testing.T, out *strings.Builder) program {
	return program{
		out: out, rules: ourRules(t), seed: 22, seeds: 2, size: size{instances: 24, days: 5, rate: 6}, setting: "4m-evaluated-4m",
		verbose: true,
	}
}

func TestDrill(t *testing.T) {
	var out strings.Builder
	p := small(t, &out)
	if err := p.score(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "| StarRocksBackup") && strings.Fields(line)[4] == "0" {
			t.Errorf("no such incident, so the drill proves nothing about it: %s", line)
		}
	}
}

// TestMutationsApply checks that the text that each mutation replaces is there. make drill plays them all.
func TestMutationsApply(t *testing.T) {
	for _, m := range mutations {
		if spoiled, err := m.in(ourRules(t)); err != nil || spoiled == ourRules(t) {
			t.Errorf("%s: changed nothing: %v", m.name, err)
		}
	}
}

// TestMutations checks that the drill notices broken rules. make drill does so for every rule.
func TestMutations(t *testing.T) {
	var out strings.Builder
	p := small(t, &out)
	p.verbose, p.seeds = false, 1
	var some []mutation
	for _, m := range mutations {
		if slices.Contains([]string{"no chain", "the chain never ends", "unreadable without for"}, m.name) {
			some = append(some, m)
		}
	}
	if err := p.mutate(some); err != nil || len(some) != 3 {
		t.Errorf("%d mutations: %v\n%s", len(some), err, &out)
	}
	harmless := mutation{"harmless", "groups:", "starrocks_backup", "starrocks_backup"}
	p.size = size{instances: 2, days: 1, rate: 1}
	if err := p.mutate([]mutation{harmless}); err == nil || !strings.Contains(err.Error(), "not noticed in the 1 worlds") {
		t.Errorf("a mutation that changes nothing: %v", err)
	}
}

// TestCompare checks that the common rules page for some incidents and miss others.
func TestCompare(t *testing.T) {
	var out strings.Builder
	p := small(t, &out)
	p.size, p.seeds = size{instances: 12, days: 4, rate: 4}, 1
	if err := p.compare(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.TrimSpace(cells[1]) != "paged: all" {
			continue
		}
		if ours := strings.Fields(cells[2]); ours[0] == "0" || ours[0] != ours[2] {
			t.Errorf("rules.yml paged for %q", cells[2])
		}
		caught := 0 // increase(…[5m]) catches nothing at this step
		for _, theirs := range cells[3 : len(cells)-1] {
			n := strings.Fields(theirs)
			if n[0] == n[2] {
				t.Errorf("common rules paged for %q", theirs)
			}
			if n[0] != "0" {
				caught++
			}
		}
		if caught < 2 {
			t.Errorf("common rules hardly page: %s", line)
		}
		return
	}
	t.Errorf("no sum in\n%s", &out)
}

// TestFalsePageOfASlowScrape scores an alert without a cause, which does not wait. With a slow scrape, a page may come early.
func TestFalsePageOfASlowScrape(t *testing.T) {
	about := page{stuckKind, "c-1"}
	s := newScore(setting{scrape: 5 * minute, step: 5 * minute}, nil)
	for n := range 3 {
		s.observe(time.Unix(0, 0).Add(time.Duration(n)*5*minute), map[page]verdict{about: no}, map[page]bool{about: n == 2})
	}
	if got := s.total(); got.falsePages != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestScore scores an alert against the truth, one letter per step: - no, ? either, x yes. The alert waits for two steps.
func TestScore(t *testing.T) {
	about := page{kind{"StarRocksBackupMissing", "critical"}, "c-1"}
	for _, c := range []struct {
		name, truth, fires string
		want               tally
	}{
		{"quiet", "----------", "----------", tally{}},
		{"in time", "--xxxxxx--", "----xxxx--", tally{incidents: 1, inTime: 1}},
		{"in time, barely", "--xxxxxx--", "------xx--", tally{incidents: 1, inTime: 1}},
		{"ends a little later", "--xxxxxx---", "----xxxxxx-", tally{incidents: 1, inTime: 1}},
		{"too short to page", "--xxx-----", "----------", tally{}},
		{"short, but paged", "--xxx-----", "----x-----", tally{incidents: 1, inTime: 1}},
		{"late", "--xxxxxxx-", "--------x-", tally{incidents: 1, late: 1}},
		{"missed", "--xxxxxx--", "----------", tally{incidents: 1, missed: 1}},
		{"missed until the end", "----xxxxxx", "----------", tally{incidents: 1, missed: 1}},
		{"wrongly resolved", "--xxxxxxxx", "----xx-xxx", tally{incidents: 1, inTime: 1, resolved: 1}},
		{"false", "----------", "---xx--x--", tally{falsePages: 2}},
		{"false because too early", "--xxxxxx--", "--xxxxxx--", tally{incidents: 1, inTime: 1, falsePages: 1}},
		{"false because it does not end", "--xxxx----", "----xxxxxx", tally{incidents: 1, inTime: 1, falsePages: 1}},
		{"fires as the cause ends", "--xx------", "----x-----", tally{}},
		{"fires an evaluation after the end", "--xx------", "-----x----", tally{}},
		{"fires two evaluations after the end", "--xx------", "------x---", tally{falsePages: 1}},
		{"fires though a short cause has ended", "--x-------", "-----x----", tally{falsePages: 1}},
		{"either way", "--????????", "----xx-x--", tally{}},
		{"a doubt resets the wait", "--xx?xxxxx", "-------xxx", tally{incidents: 1, inTime: 1}},
		{"resolves an evaluation after a doubt", "--xxxxx?xxx", "----xxxx---", tally{incidents: 1, inTime: 1}},
		{"resolves two evaluations after a doubt", "--xxxxx?xxx", "----xxxxx--", tally{incidents: 1, inTime: 1, resolved: 1}},
		{"may resolve in doubt", "--xxxxx?xx", "----xxx---", tally{incidents: 1, inTime: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScore(setting{scrape: minute, step: minute}, nil)
			s.waits = map[kind]time.Duration{about.kind: 2 * minute}
			for n := range c.truth {
				truth := map[page]verdict{about: map[byte]verdict{'-': no, '?': either, 'x': yes}[c.truth[n]]}
				firing := map[page]bool{}
				if c.fires[n] == 'x' {
					firing[about] = true
				}
				s.observe(time.Unix(0, 0).Add(time.Duration(n)*minute), truth, firing)
			}
			s.finish()
			got := s.total()
			if got.counts() != c.want.counts() {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func (t *tally) counts() [6]int {
	return [6]int{t.incidents, t.inTime, t.late, t.missed, t.resolved, t.falsePages}
}

// TestBenchmarkedStates checks that the fleet that make bench-rules measures is in the state that the table names. The cost depends
// on the machine and is not checked here.
func TestBenchmarkedStates(t *testing.T) {
	const instances = 10
	var out strings.Builder
	_ = benchRules(&out, ourRules(t), []int{instances})
	want := map[string]string{ // the Watchdog, the regions' alerts, and those of the instances
		"healthy": "1", "outage, all unreadable": "3", "all overdue": "11", "outage, all unreadable and overdue": "33",
	}
	for line := range strings.Lines(out.String()) {
		if cells := strings.Split(line, " | "); len(cells) == 7 && want[cells[1]] != "" {
			if cells[2] != want[cells[1]] {
				t.Errorf("%s: %s alerts, want %s", cells[1], cells[2], want[cells[1]])
			}
			delete(want, cells[1])
		}
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v\n%s", want, &out)
	}
}
