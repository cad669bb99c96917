package simulator

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options says how the API behaves for every instance.
type Options struct {
	AccessKeys map[string]string // access key secret by id
	Tokens     map[string]string // the security token that an access key id must come with
	Now        func() time.Time  // time.Now if nil
	PageCap    int               // the largest page; 100 if 0
	PageGaps   bool              // offsets follow the size asked for even if PageCap cuts the page
	Total      func(n int) any   // Total of n items, left out if nil; n if the function is nil
	PageTotal  bool              // Total counts only the items of the page
	Latency    time.Duration
	Fault      Fault // of requests that name no instance
}

// Instance is an instance of the simulated account.
type Instance struct {
	InstanceID, RegionID string
	Status, RunMode      string // of DescribeInstances; running and shared_nothing if empty
	Tags                 map[string]string
	Created, Expire      any                        // BeginTime and ExpireTime of DescribeInstances, milliseconds; absent if nil
	PayType              string                     // of DescribeInstances; postPaid if empty
	Tasks                func(now time.Time) []Task // in the order served; none if nil
	Policies             func(now time.Time) []Policy
	Operations           func(now time.Time) []Operation // in the order served
	Fault                Fault
	Listed               func(tasks []Task) []Task // those in a list of the whole region; all if nil
	Rendered             string                    // if set, a page is rendered once for all instances with this word: for benchmarks
}

// account is the instances of the simulated account.
type account struct {
	mu        sync.Mutex
	instances map[string]Instance
	order     []string
	rendered  map[string]map[string][]byte // pages by word and query
}

func (a *account) set(in Instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, known := a.instances[in.InstanceID]
	if !known {
		a.order = append(a.order, in.InstanceID)
	}
	a.instances[in.InstanceID] = in
	delete(a.rendered, before.Rendered)
}

func (a *account) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.instances, id)
	a.order = slices.DeleteFunc(a.order, func(o string) bool { return o == id })
}

func (a *account) instance(id string) Instance {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.instances[id]
}

// inRegion returns the instances of a region, all if it is empty.
func (a *account) inRegion(regionID string) (all []Instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range a.order {
		if i := a.instances[id]; regionID == "" || i.RegionID == regionID {
			all = append(all, i)
		}
	}
	return all
}

// renderOnce returns the page of a word that an earlier call made. It makes it if there is none.
func (a *account) renderOnce(word, page string, render func() []byte) []byte {
	a.mu.Lock()
	body := a.rendered[word][page]
	a.mu.Unlock()
	if body == nil {
		body = render()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.rendered[word] == nil {
			a.rendered[word] = map[string][]byte{}
		}
		a.rendered[word][page] = body
	}
	return body
}

// call is a request to an operation that is served.
type call struct {
	query   map[string]string
	now     time.Time
	options *Options
	account *account
}

// window returns the part of n items that the requested page contains.
func (c call) window(n int) (from, to int) {
	asked := atLeastOne(c.query["PageSize"], 10)
	size := min(asked, c.options.PageCap)
	distance := size
	if c.options.PageGaps {
		distance = asked
	}
	from = min((atLeastOne(c.query["PageNumber"], 1)-1)*distance, n)
	return from, min(from+size, n)
}

// total returns Total of an answer with some of all items.
func (c call) total(all, page int) any {
	if c.options.PageTotal {
		return c.options.Total(page)
	}
	return c.options.Total(all)
}

func atLeastOne(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return otherwise
}
