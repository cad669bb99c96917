package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// assumption is something that the exporter relies on and that the API's documentation leaves open.
type assumption struct {
	says      string
	confirmed int      // times
	against   []string // what was seen instead
	look      func([]*exchange)
}

// see notes one observation.
func (a *assumption) see(e *exchange, holds bool, format string, args ...any) {
	if holds {
		a.confirmed++
		return
	}
	a.against = append(a.against, e.file+": "+fmt.Sprintf(format, args...))
}

func assumptions() []*assumption {
	return slices.Concat(aboutAnswers(), aboutTasks(), aboutTimesAndSizes(), aboutLists(), aboutOperations())
}

func about(says string, look func(*assumption, []*exchange)) *assumption {
	a := &assumption{says: says}
	a.look = func(exchanges []*exchange) { look(a, exchanges) }
	return a
}

func aboutEachAnswer(says string, look func(a *assumption, e *exchange)) *assumption {
	return about(says, func(a *assumption, exchanges []*exchange) {
		for _, e := range exchanges {
			if e.status > 0 {
				look(a, e)
			}
		}
	})
}

func aboutEachTask(says string, look func(a *assumption, e *exchange, task object)) *assumption {
	return aboutEachAnswer(says, func(a *assumption, e *exchange) {
		if e.action != "DescribeBackups" || !e.succeeded() {
			return
		}
		for _, task := range e.items() {
			look(a, e, task)
		}
	})
}

func aboutEachSubTask(says string, look func(a *assumption, e *exchange, subTask object)) *assumption {
	return aboutEachTask(says, func(a *assumption, e *exchange, task object) {
		list, _ := task["SubTasks"].([]any)
		for _, one := range list {
			if subTask, ok := one.(object); ok {
				look(a, e, subTask)
			}
		}
	})
}

func aboutAnswers() []*assumption {
	return []*assumption{
		aboutEachAnswer("An answer is a JSON object.", func(a *assumption, e *exchange) {
			a.see(e, e.body != nil, "HTTP status %d", e.status)
		}),
		aboutEachAnswer("A failure has Success: false, or an HTTP status of 400 and above.", func(a *assumption, e *exchange) {
			if e.body != nil && !e.succeeded() {
				a.see(e, e.body["Success"] == false || e.status >= 400, "status %d, Success %v", e.status, e.body["Success"])
			}
		}),
		aboutEachAnswer("ErrCode is empty, Success, OK, 200 or 0 exactly if Success is true.", func(a *assumption, e *exchange) {
			if code, found := e.body["ErrCode"]; found {
				good := slices.Contains([]string{"", "success", "ok", "200", "0"}, strings.ToLower(textOf(code)))
				a.see(e, good == e.succeeded(), "Success %v, ErrCode %v", e.body["Success"], code)
			}
		}),
		aboutEachAnswer("A denial is for the action that the RAM policy of the documents names.", func(a *assumption, e *exchange) {
			if denied, ok := e.body["AccessDeniedDetail"].(object); ok {
				a.see(e, denied["AuthAction"] == "sr:"+e.action, "%s needs %v", e.action, denied["AuthAction"])
			}
		}),
	}
}

func aboutTasks() []*assumption {
	return []*assumption{
		aboutEachTask("Each task has a BackupTaskId.", func(a *assumption, e *exchange, task object) {
			a.see(e, textOf(task["BackupTaskId"]) != "", "%v", task["BackupTaskId"])
		}),
		aboutEachTask("A list of one instance has tasks of that instance only.", func(a *assumption, e *exchange, task object) {
			if asked := e.query.Get("InstanceId"); asked != "" && task["InstanceId"] != nil {
				a.see(e, textOf(task["InstanceId"]) == asked, "asked for %s, got %v", asked, task["InstanceId"])
			}
		}),
		aboutEachTask("The status of a task is a word that the exporter knows.", func(a *assumption, e *exchange, task object) {
			a.see(e, isKnown(textOf(task["Status"])), "%v", task["Status"])
		}),
		aboutEachSubTask("The status of a subtask is a word that the exporter knows.", func(a *assumption, e *exchange, subTask object) {
			a.see(e, isKnown(textOf(subTask["Status"])), "%v", subTask["Status"])
		}),
		aboutEachTask("A completed task says when it finished.", func(a *assumption, e *exchange, task object) {
			if strings.EqualFold(textOf(task["Status"]), "completed") {
				_, given := numberOf(task["BackupFinishedTime"])
				a.see(e, given, "task %v", task["BackupTaskId"])
			}
		}),
	}
}

func aboutTimesAndSizes() (all []*assumption) {
	for _, field := range []string{"BackupStartTime", "BackupFinishedTime", "ExpireTime"} {
		all = append(all, aboutEachTask(field+" is in milliseconds.", func(a *assumption, e *exchange, task object) {
			if n, given := numberOf(task[field]); given {
				a.see(e, n >= 1e11 && n < 1e14, "%v", task[field])
			}
		}))
	}
	for _, field := range []string{"StartTime", "FinishedTime"} {
		all = append(all, aboutEachSubTask("A subtask's "+field+" is in seconds.", func(a *assumption, e *exchange, subTask object) {
			if n, given := numberOf(subTask[field]); given {
				a.see(e, n >= 1e8 && n < 1e11, "%v", subTask[field])
			}
		}))
	}
	return append(all, aboutEachTask("Size is a number of GiB below a million.", func(a *assumption, e *exchange, task object) {
		if n, given := numberOf(task["Size"]); given {
			a.see(e, n < 1e6, "%v", task["Size"])
		}
	}))
}

func aboutLists() []*assumption {
	return []*assumption{
		about("Total is the number of distinct entries of a list.", seeTotals),
		aboutEachAnswer("A page has as many entries as asked for, unless it is the last.", func(a *assumption, e *exchange) {
			size, _ := strconv.Atoi(e.query.Get("PageSize"))
			page, _ := strconv.Atoi(e.query.Get("PageNumber"))
			total, given := numberOf(e.body["Total"])
			if e.succeeded() && given && size > 0 && page > 0 {
				rest := max(0, min(size, int(total)-(page-1)*size))
				a.see(e, len(e.items()) == rest, "page %d of %d entries each has %d, Total %v", page, size, len(e.items()), total)
			}
		}),
		aboutEachAnswer("DescribeBackups without InstanceId lists tasks of several instances.", func(a *assumption, e *exchange) {
			if e.action == "DescribeBackups" && e.query.Get("InstanceId") == "" {
				a.see(e, e.succeeded(), "status %d, %v%v", e.status, e.body["ErrCode"], e.body["Code"])
			}
		}),
	}
}

func aboutOperations() []*assumption {
	return []*assumption{
		about("An operation that canceled a backup task names the task.", func(a *assumption, exchanges []*exchange) {
			var tasks []string
			for _, e := range exchanges {
				for _, item := range e.items() {
					if id := textOf(item["BackupTaskId"]); id != "" {
						tasks = append(tasks, id)
					}
				}
			}
			for _, e := range exchanges {
				for _, item := range e.items() {
					if textOf(item["OperationType"]) != "cancel_backup_task" {
						continue
					}
					text := textOf(item["OperationDetail"]) + "\n" + textOf(item["BeforeValue"]) + "\n" + textOf(item["AfterValue"])
					named := slices.ContainsFunc(tasks, func(id string) bool { return strings.Contains(text, id) })
					a.see(e, named, "operation %v: %q", item["OperationId"], text)
				}
			}
		}),
	}
}

// seeTotals compares the largest Total of each list with the distinct entries of its pages. A list that was recorded twice has them twice.
func seeTotals(a *assumption, exchanges []*exchange) {
	type list struct {
		last  *exchange
		total float64
		ids   map[string]bool
	}
	lists := map[string]*list{}
	var order []string
	for _, e := range exchanges {
		if !e.succeeded() {
			continue
		}
		of := e.query.Get
		key := strings.Join([]string{e.action, of("RegionId"), of("InstanceId"), of("Tag"), of("OperationType")}, " ")
		l := lists[key]
		if l == nil {
			l = &list{ids: map[string]bool{}}
			lists[key] = l
			order = append(order, key)
		}
		l.last = e
		if total, given := numberOf(e.body["Total"]); given {
			l.total = max(l.total, total)
		}
		for _, item := range e.items() {
			l.ids[fmt.Sprint(item["InstanceId"], "/", item["BackupTaskId"], "/", item["PolicyId"], "/", item["OperationId"])] = true
		}
	}
	for _, key := range order {
		l := lists[key]
		a.see(l.last, int(l.total) == len(l.ids), "%s: Total %v, %d entries", key, l.total, len(l.ids))
	}
}

func isKnown(word string) bool {
	return slices.Contains([]string{
		"pending", "queued", "queueing", "waiting", "created", "scheduled", "submitted",
		"running", "snapshoting", "snapshotting", "upload_snapshot", "uploading", "save_meta", "upload_info", "processing", "in_progress",
		"executing",
		"completed", "complete", "success", "succeeded", "successful", "finished", "done",
		"failed", "failure", "fail", "error", "canceled", "cancelled", "terminated", "aborted",
	}, strings.ToLower(strings.TrimSpace(word)))
}

// textOf returns a string or a number as text.
func textOf(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case float64:
		return strconv.FormatFloat(t, 'f', -1, 64)
	default:
		return ""
	}
}

// numberOf returns a number above 0, also one written as a string.
func numberOf(v any) (n float64, given bool) {
	n, err := strconv.ParseFloat(textOf(v), 64)
	return n, err == nil && n > 0
}
