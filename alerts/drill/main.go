// The drill runs the alert rules on months of a simulated fleet, with incidents and harmless noise, and says which incidents they paged
// for and which pages were false. The exporters are this project's own collector over the simulated API. The rules run in Prometheus'
// own engine and storage. All of it runs in virtual time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"
	dto "github.com/prometheus/client_model/go"
)

// candidate is a set of rules under test, and who scores it.
type candidate struct {
	name, rules string
	judge       judge
}

// judge judges one evaluation after the other.
type judge interface {
	// observe reports whether the judge has seen enough.
	observe(now time.Time, truth map[page]verdict, firing map[page]bool) (enough bool)
}

// player is a server with the rules of a candidate.
type player struct {
	*server
	judge judge
}

// newPlayers returns a player for each candidate, and the text of all rules.
func newPlayers(directory string, w *world, candidates []candidate) (players []player, rules string, err error) {
	for _, c := range candidates {
		text, err := bare(c.rules)
		if err != nil {
			return players, "", fmt.Errorf("%s: %w", c.name, err)
		}
		s, err := newServer(c.name, directory, text, w)
		if err != nil {
			return players, "", err
		}
		players, rules = append(players, player{s, c.judge}), rules+text
	}
	return players, rules, nil
}

// drill runs all candidates on one world at once, until the world ends or their judges have seen enough.
func drill(ctx context.Context, directory string, w *world, candidates []candidate) (e exposure, err error) {
	players, rules, err := newPlayers(directory, w, candidates)
	defer func() {
		for _, p := range players {
			p.close()
		}
	}()
	if err != nil {
		return e, err
	}
	api := inProcess{w.simulate()}
	before := map[page]verdict{}
	truth, scrapes, settled := newOracle(w), newScraper(rules), w.start
	for ; len(players) > 0 && w.now.Before(w.end); w.now = w.now.Add(w.step) {
		if during(w.stops, w.now) {
			continue
		}
		stopped := w.stopEnding()
		if stopped > 0 {
			truth.resume(stopped)
			scrapes.restart()
			for _, p := range players {
				if err := p.start(); err != nil {
					return e, err
				}
			}
			settled = w.now.Add(settlingTime)
		}
		all, err := scrapeAll(ctx, w, api, scrapes)
		if err != nil {
			return e, err
		}
		should := truth.judge()
		e.add(w, sickOf(should))
		if stopped > 0 || w.stopComing() { // what ends now may go unnoticed: then an alert waits as long as before
			for p, v := range before {
				if v != no && should[p] == no {
					should[p] = either
				}
			}
		}
		before = should
		if w.now.Before(settled) {
			for p, v := range should {
				should[p] = min(v, either)
			}
		}
		playing := players[:0]
		for _, p := range players {
			firing, err := p.step(ctx, w.now, all)
			if err != nil {
				return e, err
			}
			if p.judge.observe(w.now, should, firing) {
				p.close()
			} else {
				playing = append(playing, p)
			}
		}
		players = playing
	}
	return e, nil
}

// scrapeAll moves every exporter on by a step and scrapes it, as often as the interval asks for.
func scrapeAll(ctx context.Context, w *world, api inProcess, scrapes *scraper) (all []scrape, err error) {
	step := w.now
	defer func() { w.now = step }()
	for w.now = step.Add(-w.step + time.Second).Truncate(w.scrape).Add(w.scrape); !w.now.After(step); w.now = w.now.Add(w.scrape) {
		w.read = w.now
		for _, g := range w.groups {
			for _, e := range g.exporters {
				before := e.label()
				e.live(w.surroundings(api))
				w.reader, w.asking = e.index, e.process
				at := w.now.Add(time.Duration(e.index) * time.Second)
				if e.target != before {
					all = append(all, scrape{at: at, samples: scrapes.forget(endpoint{g.cluster, g.job, before})})
				}
				if e.target == "" {
					continue
				}
				var exposition []*dto.MetricFamily
				if e.scraped {
					if exposition, err = e.process.scrape(ctx, scrapes.stores); err != nil {
						return nil, err
					}
				}
				all = append(all, w.batch(at, scrapes.samples(endpoint{g.cluster, g.job, e.target}, exposition)))
			}
		}
	}
	return all, nil
}

// lateScrapes is the share of scrapes that remote write has not delivered in full by the next evaluation.
const lateScrapes = 0.1

// batch divides a scrape into what comes in time and what is late.
func (w *world) batch(at time.Time, samples []sample) scrape {
	if !w.late || !w.chance(lateScrapes) {
		return scrape{at: at, samples: samples}
	}
	s := scrape{at: at}
	for _, one := range samples {
		if w.chance(0.5) {
			s.samples = append(s.samples, one)
		} else {
			s.late = append(s.late, one)
		}
	}
	return s
}

// sickOf returns the subjects about which something should or may page.
func sickOf(should map[page]verdict) map[string]bool {
	sick := map[string]bool{}
	for p, v := range should {
		sick[p.subject] = sick[p.subject] || v != no
	}
	return sick
}

// program is what the flags say.
type program struct {
	out     io.Writer
	rules   string
	seed    uint64
	seeds   int
	size    size
	setting string
	verbose bool
}

func main() {
	p := program{out: os.Stdout}
	app := kingpin.New("drill", "Runs the alert rules on months of a simulated fleet, and counts missed and false pages.")
	file := app.Flag("rules", "File with the alert rules.").Default("../rules.yml").ExistingFile()
	app.Flag("seed", "Seed of the first world.").Default("1").Uint64Var(&p.seed)
	app.Flag("seeds", "Number of worlds.").Default("10").IntVar(&p.seeds)
	app.Flag("instances", "Instances in each world.").Default("60").IntVar(&p.size.instances)
	app.Flag("days", "Days in the longest worlds: those with an evaluation every 4 minutes.").Default("70").IntVar(&p.size.days)
	app.Flag("setting", "Setting of all worlds. By default, each seed plays one of them in turn.").StringVar(&p.setting)
	app.Flag("rate", "Rate of incidents and faults; at 1, an instance has one incident in about ten days.").
		Default("1").Float64Var(&p.size.rate)
	app.Flag("verbose", "Print each mistake.").Short('v').BoolVar(&p.verbose)
	bench := app.Command("bench", "Measure an evaluation of the rules in large fleets, and fail if it takes too long.")
	sizes := bench.Flag("size", "Instances of a fleet.").Default("1000", "10000").Ints()
	commands := map[string]func() error{
		app.Command("score", "Score the rules, and fail if a page is missed, late, wrongly resolved or false.").FullCommand(): p.score,
		app.Command("mutate",
			"Make one mistake in each rule, and fail if the drill does not count it.").FullCommand(): func() error { return p.mutate(mutations) },
		app.Command("compare", "Compare with rules in common use.").FullCommand(): p.compare,
		bench.FullCommand(): func() error { return benchRules(p.out, p.rules, *sizes) },
	}
	command := kingpin.MustParse(app.Parse(os.Args[1:]))
	rules, err := os.ReadFile(*file)
	p.rules = string(rules)
	if err == nil {
		err = commands[command]()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// worlds runs every world with its own candidates, as many at once as there are processors. After an interrupt, the worlds that are
// finished count.
func (p *program) worlds(choose func(uint64, setting) []candidate, finished func(seed uint64, e exposure)) error {
	directory, err := os.MkdirTemp("", "drill")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var (
		mu       sync.Mutex
		workers  sync.WaitGroup
		failures []error
	)
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for n := range p.seeds {
		seed := p.seed + uint64(n)
		chosen, err := settingOf(p.setting, seed)
		if err != nil {
			return err
		}
		workers.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			mu.Lock()
			mine := choose(seed, chosen)
			mu.Unlock()
			e, err := drill(ctx, directory, newWorld(seed, chosen, p.size), mine)
			if ctx.Err() != nil {
				fmt.Fprintf(os.Stderr, "seed %d: interrupted, left out\n", seed)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("seed %d: %w", seed, err))
				return
			}
			finished(seed, e)
		})
	}
	workers.Wait()
	return errors.Join(failures...)
}

func (p *program) report(rules string) func(time.Time, page, string) {
	return func(t time.Time, about page, what string) {
		if p.verbose {
			fmt.Fprintf(p.out, "%s %s: %s (%s) %s: %s\n", t.Format(time.RFC3339), rules, about.alert, about.severity, about.subject, what)
		}
	}
}

func (p *program) score() error {
	scores := map[uint64]*score{}
	sum, watched := newScore(setting{}, nil), exposure{}
	err := p.worlds(func(seed uint64, s setting) []candidate {
		scores[seed] = newScore(s, p.report(fmt.Sprintf("seed %d (%s)", seed, s.name)))
		return []candidate{{"rules.yml", p.rules, scores[seed]}}
	}, func(seed uint64, e exposure) {
		scores[seed].finish()
		fmt.Fprintf(os.Stderr, "seed %d: %d mistakes in %.1f instance-years\n", seed, scores[seed].mistakes(), years(e.all))
		sum.add(scores[seed])
		watched.all += e.all
		watched.healthy += e.healthy
	})
	if err != nil {
		return err
	}
	sum.print(p.out)
	total := sum.total()
	fmt.Fprintf(p.out, "\n%.1f instance-years, %.1f of them healthy; %.3f false pages per healthy instance-year.\n",
		years(watched.all), years(watched.healthy), float64(total.falsePages)/years(watched.healthy))
	if n := sum.mistakes(); n > 0 {
		return fmt.Errorf("%d pages missed, late, wrongly resolved or false", n)
	}
	return nil
}

// mutate plays each mutation until its first mistake.
func (p *program) mutate(all []mutation) error {
	suspects := make([]*suspect, len(all))
	var wrong []error
	for n, m := range all {
		rules, err := m.in(p.rules)
		suspects[n], wrong = &suspect{name: m.name, rules: rules}, append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	worlds, played := map[uint64]*trials{}, 0
	err := p.worlds(func(seed uint64, s setting) []candidate {
		w := newTrials(s, fmt.Sprintf("seed %d (%s)", seed, s.name), suspects)
		worlds[seed] = w
		candidates := []candidate{{"rules.yml", p.rules, w}}
		for _, t := range w.all {
			candidates = append(candidates, candidate{t.name, t.rules, t})
		}
		return candidates
	}, func(seed uint64, _ exposure) {
		worlds[seed].finish()
		played++
		fmt.Fprintf(os.Stderr, "seed %d: played\n", seed)
	})
	if err != nil {
		return err
	}
	return printMutations(p.out, suspects, played)
}

func (p *program) compare() error {
	names := []string{"rules.yml"}
	for _, t := range commonRules {
		names = append(names, t.name)
	}
	sums := map[string]*comparison{}
	for _, name := range names {
		sums[name] = newComparison(0)
	}
	bySeed := map[uint64][]candidate{}
	watched := exposure{}
	err := p.worlds(func(seed uint64, s setting) []candidate {
		all := []candidate{{names[0], p.rules, newComparison(s.slack())}}
		for _, t := range commonRules {
			all = append(all, candidate{t.name, t.rules, newComparison(s.slack())})
		}
		bySeed[seed] = all
		return all
	}, func(seed uint64, e exposure) {
		for _, one := range bySeed[seed] {
			sums[one.name].add(one.judge.(*comparison))
		}
		watched.all += e.all
		watched.healthy += e.healthy
	})
	if err != nil {
		return err
	}
	printComparisons(p.out, names, sums, watched)
	return nil
}
