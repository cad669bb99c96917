package collector_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// An exporter that has run for long says of its instances what one says that has just started, over random histories: a restart reveals
// nothing, and of a pair, both say the same.
func TestRestart(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compareWithNew(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func compareWithNew(t *testing.T, random *rand.Rand) {
	const instances, steps = 3, 80
	listing := func(how string) string {
		return strings.Replace(oneRegion, "cn-hangzhou", "cn-hangzhou, listing: "+how, 1)
	}
	var clock atomic.Int64
	clock.Store(noon.UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()).UTC() }
	var histories [instances][]simulator.Task
	worldOf := func(how string) *world {
		w := newWorld(t, simulator.Options{PageCap: 6}, now, listing(how))
		for i := range instances {
			w.sim.Set(simulator.Instance{
				InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou",
				Tasks: func(time.Time) []simulator.Task { return slices.Clone(histories[i]) },
			})
		}
		return w
	}
	each, region := worldOf("instance"), worldOf("region")
	for step := range steps {
		clock.Add(random.Int64N(3 * time.Hour.Milliseconds()))
		for i := range histories {
			histories[i] = goesOn(histories[i], now(), random, step)
		}
		restarted := worldOf("instance")
		want := ofInstances(restarted.get("/metrics"))
		restarted.exporter.Close()
		restarted.api.Close()
		for how, w := range map[string]*world{"instance": each, "region": region} {
			if got := ofInstances(w.get("/metrics")); got != want {
				t.Fatalf("step %d, listing %s:\n%s", step, how, difference(want, got))
			}
		}
	}
}

// goesOn returns a history of tasks some time later: one began, some ended, and one was deleted. The API lists them in any order.
func goesOn(history []simulator.Task, now time.Time, random *rand.Rand, step int) []simulator.Task {
	history = slices.Clone(history)
	if random.IntN(2) == 0 {
		start := now.Add(-time.Duration(random.IntN(180)) * time.Minute)
		history = append(history, simulator.Task{
			BackupTaskID: fmt.Sprintf("bt-%d", step), Status: "RUNNING", Start: simulator.Millis(start),
		})
	}
	for i := range history {
		task := &history[i]
		if task.Finish != nil || random.IntN(2) == 0 {
			continue
		}
		task.Status = []string{"COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CANCELLED"}[random.IntN(5)]
		task.Finish, task.Expire = simulator.Millis(now), simulator.Millis(now.Add(time.Duration(random.IntN(90))*time.Hour))
		for n := range random.IntN(4) {
			word := []string{"success", "success", "failed", "odd"}[random.IntN(4)]
			task.SubTasks = append(task.SubTasks, sub(fmt.Sprint("d", n), "t", random.IntN(50), word))
		}
	}
	if len(history) > 0 && random.IntN(4) == 0 {
		i := random.IntN(len(history))
		history = slices.Delete(history, i, i+1)
	}
	random.Shuffle(len(history), func(a, b int) { history[a], history[b] = history[b], history[a] })
	return history
}

// ofInstances returns the part of an exposition that is about backups, without what is counted and timed.
func ofInstances(exposition string) string {
	var part strings.Builder
	for line := range strings.Lines(exposition) {
		if strings.Contains(line, `{`) && strings.Contains(line, `instance_id="`) && !strings.Contains(line, "_total{") &&
			!strings.Contains(line, "_scrape_duration_seconds{") {
			part.WriteString(line)
		}
	}
	return part.String()
}
