package report

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query is what a person asks the page for.
type query struct {
	values url.Values
}

// The parameters.
const (
	searchParameter    = "q"
	stateParameter     = "state"
	regionParameter    = "region"
	accountParameter   = "account"
	conditionParameter = "condition"
	sortParameter      = "sort" // a column; with a - before it, the other way round
	pageParameter      = "page"
	openParameter      = "open" // rows, by region and id
	formatParameter    = "format"
)

// rowsOpened is how many rows are open at most: each link names them all.
const rowsOpened = 20

// newQuery returns what is known of the parameters of a request.
func newQuery(asked url.Values) query {
	values := url.Values{}
	for _, name := range append(filterParameters(), sortParameter, pageParameter) {
		if value := strings.Join(strings.Fields(asked.Get(name)), " "); value != "" {
			values.Set(name, value)
		}
	}
	if opened := asked[openParameter]; len(opened) > 0 {
		values[openParameter] = opened[max(0, len(opened)-rowsOpened):]
	}
	return query{values}
}

func filterParameters() []string {
	return []string{searchParameter, stateParameter, regionParameter, accountParameter, conditionParameter}
}

func (q query) get(parameter string) string { return q.values.Get(parameter) }

// cloned returns a copy of the parameters, to be changed.
func (q query) cloned() url.Values {
	values := url.Values{}
	for name, all := range q.values {
		values[name] = slices.Clone(all)
	}
	return values
}

// link returns the address of the page with one parameter changed; the parameter is dropped if the value is empty.
func (q query) link(parameter, value string) string {
	values := q.cloned()
	values.Del(pageParameter)
	values.Set(parameter, value)
	return address(values)
}

// toggle returns the address of the page with a filter set, or dropped if it is set already.
func (q query) toggle(parameter, value string) string {
	if q.get(parameter) == value {
		value = ""
	}
	return q.link(parameter, value)
}

// toggleOpen returns the address of the page with a row opened, or closed if it is open.
func (q query) toggleOpen(row string) string {
	values := q.cloned()
	if i := slices.Index(values[openParameter], row); i >= 0 {
		values[openParameter] = slices.Delete(values[openParameter], i, i+1)
	} else {
		values.Add(openParameter, row)
	}
	return address(values)
}

// unfiltered returns the address of the page without filters.
func (q query) unfiltered() string {
	values := url.Values{}
	if by := q.get(sortParameter); by != "" {
		values.Set(sortParameter, by)
	}
	return address(values)
}

func address(values url.Values) string {
	for name, all := range values {
		if len(all) == 0 || len(all) == 1 && all[0] == "" {
			values.Del(name)
		}
	}
	if len(values) == 0 {
		return "./" // an empty reference would keep the parameters
	}
	return "?" + values.Encode()
}

func (q query) isFiltered() bool {
	return slices.ContainsFunc(filterParameters(), func(p string) bool { return q.get(p) != "" })
}

func (q query) isOpen(row string) bool { return slices.Contains(q.values[openParameter], row) }

// page returns the number of the page of rows, from 1.
func (q query) page() int {
	n, _ := strconv.Atoi(q.get(pageParameter))
	return max(1, n)
}

// filter returns the instances that match.
func (q query) filter(all []Instance) []Instance {
	words := strings.Fields(strings.ToLower(q.get(searchParameter)))
	matching := make([]Instance, 0, len(all))
	for i := range all {
		if q.matches(&all[i], words) {
			matching = append(matching, all[i])
		}
	}
	return matching
}

func (q query) matches(i *Instance, words []string) bool {
	is := func(parameter, value string) bool { wanted := q.get(parameter); return wanted == "" || wanted == value }
	if !is(stateParameter, i.State) || !is(regionParameter, i.RegionID) || !is(accountParameter, i.Account) {
		return false
	}
	var conditions []string
	for _, c := range i.Conditions {
		conditions = append(conditions, string(c))
	}
	if c := q.get(conditionParameter); c != "" && !slices.Contains(conditions, c) {
		return false
	}
	text := strings.ToLower(strings.Join(append(conditions, i.InstanceName, i.InstanceID, i.RegionID, i.Account, i.State), "\n"))
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

// column is a column of the table that can be sorted.
type column struct {
	key, title string                   // no key: it cannot be sorted
	compare    func(a, b *Instance) int // nil for the order that the report has: worst first
}

func sortColumns() []column {
	return []column{
		{"state", "State", nil},
		{"name", "Instance", func(a, b *Instance) int { return cmp.Compare(a.title(), b.title()) }},
		{"", "Why", nil},
		{"age", "Newest good backup", func(a, b *Instance) int { return oldestFirst(a.LastSuccess, b.LastSuccess) }},
		{"task", "Newest task", func(a, b *Instance) int { return oldestFirst(b.LastTaskStart, a.LastTaskStart) }},
		{"restorable", "Can be restored", func(a, b *Instance) int { return cmp.Compare(restorable(a), restorable(b)) }},
	}
}

func oldestFirst(a, b *time.Time) int {
	var x, y time.Time
	if a != nil {
		x = *a
	}
	if b != nil {
		y = *b
	}
	return x.Compare(y)
}

func restorable(i *Instance) int {
	if i.RestorableBackups == nil {
		return -1
	}
	return *i.RestorableBackups
}

// title returns the name of an instance, or its id if the name is not known.
func (i *Instance) title() string { return cmp.Or(i.InstanceName, i.InstanceID) }

// sort sorts instances by a column. Equal ones stay worst first.
func (q query) sort(all []Instance) {
	by, reversed := strings.CutPrefix(q.get(sortParameter), "-")
	for _, c := range sortColumns() {
		switch {
		case c.key == "" || c.key != by:
		case c.compare != nil:
			slices.SortStableFunc(all, func(a, b Instance) int {
				if reversed {
					return c.compare(&b, &a)
				}
				return c.compare(&a, &b)
			})
		case reversed:
			slices.Reverse(all)
		}
	}
}
