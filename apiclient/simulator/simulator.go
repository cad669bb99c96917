// Package simulator plays the API of EMR Serverless StarRocks as an http.Handler: signatures, pages, filters, faults.
// It is written independently of the client, so that the two do not share a mistake.
package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say how the API behaves for every instance.
type Options struct {
	AccessKeys map[string]string // access key secret by id
	Tokens     map[string]string // the security token that an access key id must come with
	Now        func() time.Time  // time.Now where nil
	PageCap    int               // pages are never larger, whatever is asked for; 100 where 0
	Total      func(n int) any   // what Total says of n tasks; nil leaves it out; n where the function is nil
	Latency    time.Duration
	Fault      Fault // of requests that name no instance; nil: none
}

// Instance is an instance of the simulated account.
type Instance struct {
	InstanceID, RegionID string
	Status, RunMode      string // in DescribeInstances; running and shared_nothing where empty
	Tags                 map[string]string
	Tasks                func(now time.Time) []Task // in the order served; nil: none
	Fault                Fault                      // nil: none
	Listed               func(tasks []Task) []Task  // those that a list of the whole region has; nil: all
	Rendered             string                     // not empty: render each page once for all instances of this word, for benchmarks
}

// Fault answers a request in the API's place and reports whether it did. n counts the instance's requests, from 1.
type Fault func(w http.ResponseWriter, r *http.Request, n int) bool

// Simulator is the API.
type Simulator struct {
	o Options

	mu        sync.Mutex
	instances map[string]Instance
	order     []string
	requests  map[string]int
	nonces    map[string]time.Time
	rendered  map[string][]byte
}

// New returns an API without instances.
func New(o Options) *Simulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageCap == 0 {
		o.PageCap = 100
	}
	if o.Total == nil {
		o.Total = func(n int) any { return n }
	}
	return &Simulator{
		o: o, instances: map[string]Instance{}, requests: map[string]int{}, nonces: map[string]time.Time{}, rendered: map[string][]byte{},
	}
}

// Set adds an instance, or replaces the one of the same id.
func (s *Simulator) Set(in Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.instances[in.InstanceID]; !known {
		s.order = append(s.order, in.InstanceID)
	}
	s.instances[in.InstanceID] = in
	clear(s.rendered)
}

// Remove releases an instance.
func (s *Simulator) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.instances, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
}

// Requests returns how many requests named an instance, or how many there were at all for the id "".
func (s *Simulator) Requests(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[id]
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.o.Now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		gatewayError(w, http.StatusBadRequest, "InvalidParameter", "the query is malformed")
		return
	}
	id := query.Get("InstanceId")
	s.mu.Lock()
	s.requests[""]++
	if id != "" {
		s.requests[id]++
	}
	in, n, all := s.instances[id], s.requests[id], s.requests[""]
	s.mu.Unlock()

	if s.o.Latency > 0 {
		Delay(s.o.Latency)(w, r, n)
	}
	if id == "" {
		in.Fault, n = s.o.Fault, all
	}
	if in.Fault != nil && in.Fault(w, r, n) {
		return
	}
	if status, code, message := s.refuse(r, now); code != "" {
		gatewayError(w, status, code, message)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	body := s.answer(r, query, in, now)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// refuse says why a request is not served; an empty code where it is.
func (s *Simulator) refuse(r *http.Request, now time.Time) (status int, code, message string) {
	action, known := map[string]string{
		"/webapi/backup/manage/describe": "DescribeBackups", "/webapi/starrocks/describeInstances": "DescribeInstances",
	}[r.URL.Path]
	switch {
	case !known:
		return http.StatusNotFound, "InvalidApi.NotFound", "the path is not known"
	case r.Method != http.MethodPost || r.Header.Get("x-acs-action") != action:
		return http.StatusNotFound, "InvalidAction.NotFound", "the action is not known"
	case r.Header.Get("x-acs-version") != "2022-10-19":
		return http.StatusBadRequest, "InvalidVersion", "the version is not known"
	case r.ContentLength != 0 || r.Header.Get("Content-Type") != "":
		return http.StatusBadRequest, "InvalidParameter", "the body must be empty"
	}
	return s.verify(r, now)
}

// answer is the envelope of a request that is served.
func (s *Simulator) answer(r *http.Request, query url.Values, in Instance, now time.Time) []byte {
	if r.Header.Get("x-acs-action") == "DescribeInstances" {
		return s.instancesPage(query)
	}
	if id := query.Get("InstanceId"); id != "" && (in.InstanceID == "" || in.RegionID != query.Get("RegionId")) {
		return failure("InvalidParams", "Invalid params: [instance not exists].\n", nil)
	}
	page, size := atLeastOne(query.Get("PageNumber"), 1), min(atLeastOne(query.Get("PageSize"), 10), s.o.PageCap)
	key := fmt.Sprintf("%s %d %d", in.Rendered, page, size)
	if in.Rendered != "" {
		s.mu.Lock()
		body := s.rendered[key]
		s.mu.Unlock()
		if body != nil {
			return body
		}
	}
	tasks := s.matching(query, in, now)
	first := min((page-1)*size, len(tasks))
	body := envelope(true, "Success", "", tasks[first:min(first+size, len(tasks))], s.o.Total(len(tasks)))
	if in.Rendered != "" {
		s.mu.Lock()
		s.rendered[key] = body
		s.mu.Unlock()
	}
	return body
}

// matching lists the tasks that the query's filters leave.
func (s *Simulator) matching(query url.Values, in Instance, now time.Time) []Task {
	instances := []Instance{in}
	if query.Get("InstanceId") == "" {
		instances = nil
		s.mu.Lock()
		for _, id := range s.order {
			if i := s.instances[id]; query.Get("RegionId") == "" || i.RegionID == query.Get("RegionId") {
				instances = append(instances, i)
			}
		}
		s.mu.Unlock()
	}
	var tasks []Task
	for _, i := range instances {
		if i.Tasks == nil {
			continue
		}
		all := i.Tasks(now)
		if i.Listed != nil && query.Get("InstanceId") == "" {
			all = i.Listed(all)
		}
		for _, t := range all {
			t.InstanceID, t.RegionID = orElse(t.InstanceID, i.InstanceID), orElse(t.RegionID, i.RegionID)
			if matches(query, t) {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

func matches(query url.Values, t Task) bool {
	if id := query.Get("BackupTaskId"); id != "" && id != t.BackupTaskID {
		return false
	}
	if words := query.Get("Statuses"); words != "" && !slices.Contains(strings.Split(words, ","), t.Status) {
		return false
	}
	start, _ := t.Start.(int64)
	if from, err := strconv.ParseInt(query.Get("TimePeriodStartTime"), 10, 64); err == nil && start < from*1000 {
		return false
	}
	to, err := strconv.ParseInt(query.Get("TimePeriodEndTime"), 10, 64)
	return err != nil || start <= to*1000
}

func atLeastOne(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
