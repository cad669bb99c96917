package collector_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// A scrape that knows an answer says what one that decodes it says, over random histories and clocks.
func TestKnownAnswers(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compareWays(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func compareWays(t *testing.T, random *rand.Rand) {
	const instances, steps = 3, 150
	const configuration = `
api: {endpoint: API, requests_per_second: 100000, max_attempts: 1}
backups: {subtask_limit: 2}
accounts: {default: {access_key_id: id, access_key_secret: canary}}
instances:
- {instance_id: c-0, region_id: cn-hangzhou}
- {instance_id: c-1, region_id: cn-hangzhou, schedule: "0 2 * * *", grace: 2h}
- {instance_id: c-2, region_id: cn-hangzhou, max_age: 3h}
`
	var clock atomic.Int64
	clock.Store(noon.UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()).UTC() }
	var histories [instances][]simulator.Task
	var failing [instances]atomic.Bool
	worldOf := func() *world {
		w := newWorld(t, simulator.Options{PageCap: 6}, now, configuration)
		for i := range instances {
			w.sim.Set(simulator.Instance{
				InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou",
				Tasks: func(time.Time) []simulator.Task { return slices.Clone(histories[i]) },
				Fault: func(w http.ResponseWriter, r *http.Request, n int) bool {
					return failing[i].Load() && simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "no")(w, r, n)
				},
			})
		}
		return w
	}
	knows, decodes := worldOf(), worldOf()
	for step := range steps {
		if random.IntN(20) > 0 {
			clock.Add(random.Int64N(3 * time.Hour.Milliseconds()))
		} else {
			clock.Add(-random.Int64N(2 * time.Hour.Milliseconds()))
		}
		for i := range instances {
			if random.IntN(3) == 0 {
				histories[i] = changed(histories[i], now(), random, step)
			}
			failing[i].Store(random.IntN(10) == 0)
		}
		decodes.configure(configuration) // the clients of a new fleet know no answer
		if got, want := knows.get("/metrics"), decodes.get("/metrics"); got != want {
			t.Fatalf("step %d, %v, with the answers known:\n%s", step, now(), difference(got, want))
		}
	}
}

// changed returns a history of tasks with one change.
func changed(history []simulator.Task, now time.Time, random *rand.Rand, step int) []simulator.Task {
	history = slices.Clone(history)
	around := func() any {
		switch at := now.Add(time.Duration(random.IntN(600)-590) * time.Minute); random.IntN(80) {
		case 0:
			return nil
		case 1:
			return "soon"
		case 2:
			return simulator.Millis(at.Add(300 * 24 * time.Hour))
		default:
			return simulator.Millis(at)
		}
	}
	word := func() string {
		return []string{"COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CANCELLED", "RUNNING", "PENDING", "odd"}[random.IntN(8)]
	}
	if len(history) == 0 || random.IntN(3) == 0 {
		history = append(history, simulator.Task{BackupTaskID: fmt.Sprintf("bt-%d", step), Status: word(), Start: around(), Finish: around()})
	}
	task := &history[random.IntN(len(history))]
	switch random.IntN(6) {
	case 0:
		task.Status = word()
	case 1:
		task.Finish = around()
	case 2:
		task.Expire = around()
	case 3:
		task.Size = random.IntN(100)
	case 4:
		task.SubTasks = append(slices.Clone(task.SubTasks), simulator.SubTask{
			Database: fmt.Sprint("d", random.IntN(3)), Table: fmt.Sprint("t", random.IntN(9)), Status: word(), Size: random.IntN(30),
		})
	}
	if len(history) > 8 {
		history = slices.Delete(history, 0, 5)
	}
	return history
}
