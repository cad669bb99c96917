// The drill plays months of a simulated fleet, with incidents and harmless noise, to the alert rules, and says which
// incidents they paged for and which pages were false. The exporters are this project's own collector over the
// simulated API, the rules run in Prometheus' own engine and storage, and all of it in virtual time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"
	dto "github.com/prometheus/client_model/go"
)

// player is a Prometheus with rules, and who judges them.
type player struct {
	name, rules string
	judge       interface {
		observe(now time.Time, truth map[page]verdict, firing map[page]bool)
	}
}

// exposure is how long instances were watched, and how long they were well, all together.
type exposure struct{ all, healthy time.Duration }

// drill plays one world to all players at once.
func drill(ctx context.Context, directory string, seed uint64, s size, players []player) (e exposure, err error) {
	w := newWorld(seed, s)
	api := inProcess{w.simulate()}
	truth, scrapes := newOracle(w), newScraper()
	servers := make([]*server, len(players))
	for n, p := range players {
		if servers[n], err = newServer(p.name, directory, p.rules); err != nil {
			return e, err
		}
		defer servers[n].close()
	}
	for ; w.now.Before(w.end); w.now = w.now.Add(w.step) {
		all, err := scrapeAll(ctx, w, api, scrapes)
		if err != nil {
			return e, err
		}
		should := truth.judge()
		e.add(w, should)
		for n, p := range players {
			firing, err := servers[n].step(ctx, w.now, all)
			if err != nil {
				return e, err
			}
			p.judge.observe(w.now, should, firing)
		}
	}
	return e, nil
}

// scrapeAll lets every exporter live for a step and Prometheus scrape it.
func scrapeAll(ctx context.Context, w *world, api inProcess, scrapes *scraper) (all []scrape, err error) {
	const job = "starrocks_backup"
	for _, g := range w.groups {
		for n, e := range g.exporters {
			at := w.now.Add(time.Duration(n) * 7 * time.Second)
			before := e.label()
			w.live(e, api)
			w.reader = e.index
			if e.target != before {
				all = append(all, scrape{at, scrapes.forget(job, before)})
			}
			if e.target == "" {
				continue
			}
			var exposition iter.Seq[*dto.MetricFamily]
			if e.scraped {
				if exposition, err = e.process.scrape(ctx); err != nil {
					return nil, err
				}
			}
			all = append(all, scrape{at, scrapes.scrape(job, e.target, exposition)})
		}
	}
	return all, nil
}

// add counts the instances that are watched now, and those that are well.
func (e *exposure) add(w *world, should map[page]verdict) {
	sick := map[string]bool{}
	for p, v := range should {
		sick[p.subject] = sick[p.subject] || v != no
	}
	for _, i := range w.instances {
		if i.watched.has(w.now) {
			e.all += w.step
			if !sick[i.id] {
				e.healthy += w.step
			}
		}
	}
}

// program is what the flags say.
type program struct {
	out     io.Writer
	rules   string
	seed    uint64
	seeds   int
	size    size
	verbose bool
}

func main() {
	p := program{out: os.Stdout}
	app := kingpin.New("drill", "Plays months of a simulated fleet to the alert rules and counts what they miss and what they page for nothing.")
	file := app.Flag("rules", "The alert rules.").Default("../rules.yml").ExistingFile()
	app.Flag("seed", "The first world.").Default("1").Uint64Var(&p.seed)
	app.Flag("seeds", "How many worlds.").Default("10").IntVar(&p.seeds)
	app.Flag("instances", "Instances in each world.").Default("60").IntVar(&p.size.instances)
	app.Flag("days", "Days that each world lasts.").Default("70").IntVar(&p.size.days)
	app.Flag("step", "Time from scrape to scrape, and from evaluation to evaluation.").Default("4m").DurationVar(&p.size.step)
	app.Flag("rate", "How often things go wrong; 1: an instance every few weeks.").Default("1").Float64Var(&p.size.rate)
	app.Flag("verbose", "Print each mistake.").Short('v').BoolVar(&p.verbose)
	commands := map[string]func() error{
		app.Command("score", "Score the rules; fails on a page that is missed, late, wrongly resolved or false.").FullCommand(): p.score,
		app.Command("spoil", "Spoil each rule once, and see it counted; fails where it is not.").FullCommand():                  func() error { return p.spoil(spoils) },
		app.Command("compare", "Compare with the rules that people use today.").FullCommand():                                   p.compare,
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

// worlds plays every world to its own players, as many at once as there are processors. A signal ends it before its time:
// what was played until then counts.
func (p *program) worlds(players func(seed uint64) []player, played func(seed uint64, e exposure)) error {
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
	limit := make(chan struct{}, runtime.NumCPU())
	for n := range p.seeds {
		seed := p.seed + uint64(n)
		workers.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			mine := players(seed)
			e, err := drill(ctx, directory, seed, p.size, mine)
			if ctx.Err() != nil {
				fmt.Fprintf(os.Stderr, "seed %d: not played to its end, left out\n", seed)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("seed %d: %w", seed, err))
				return
			}
			played(seed, e)
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
	for n := range p.seeds {
		scores[p.seed+uint64(n)] = newScore(p.size.step, p.report("rules.yml"))
	}
	sum, watched := newScore(p.size.step, nil), exposure{}
	err := p.worlds(func(seed uint64) []player {
		return []player{{"rules.yml", p.rules, scores[seed]}}
	}, func(seed uint64, e exposure) {
		scores[seed].finish()
		fmt.Fprintf(os.Stderr, "seed %d: %d mistakes\n", seed, scores[seed].mistakes())
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

func (p *program) spoil(all []spoil) error {
	sums := make([]*score, len(all))
	var mistakes []error
	for n, s := range all {
		sums[n] = newScore(p.size.step, nil)
		if _, err := s.in(p.rules); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if len(mistakes) > 0 {
		return errors.Join(mistakes...)
	}
	scores := map[uint64][]*score{}
	for n := range p.seeds {
		seed := p.seed + uint64(n)
		for _, s := range all {
			scores[seed] = append(scores[seed], newScore(p.size.step, p.report(s.name)))
		}
	}
	err := p.worlds(func(seed uint64) (players []player) {
		for n, s := range all {
			rules, _ := s.in(p.rules)
			players = append(players, player{s.name, rules, scores[seed][n]})
		}
		return players
	}, func(seed uint64, _ exposure) {
		for n, one := range scores[seed] {
			one.finish()
			sums[n].add(one)
		}
	})
	if err != nil {
		return err
	}
	return printSpoils(p.out, all, sums)
}

func (p *program) compare() error {
	names := []string{"rules.yml"}
	for _, t := range today {
		names = append(names, t.name)
	}
	sums := map[string]*comparison{}
	for _, name := range names {
		sums[name] = newComparison(p.size.step)
	}
	each := map[uint64][]player{}
	for n := range p.seeds {
		all := []player{{names[0], p.rules, newComparison(p.size.step)}}
		for _, t := range today {
			all = append(all, player{t.name, t.rules, newComparison(p.size.step)})
		}
		each[p.seed+uint64(n)] = all
	}
	watched := exposure{}
	err := p.worlds(func(seed uint64) []player { return each[seed] }, func(seed uint64, e exposure) {
		for _, one := range each[seed] {
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
