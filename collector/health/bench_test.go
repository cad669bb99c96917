package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// BenchmarkExamine examines 30 tasks of 20 subtasks, with the sizes of the tasks before the newest known.
func BenchmarkExamine(b *testing.B) {
	tasks := benchmarkTasks()
	before, err := Examine(listOf(nil, tasks...), tableLimit)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Examine(listOf(before.Sizes, tasks...), tableLimit); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJudge judges the facts of 30 tasks.
func BenchmarkJudge(b *testing.B) {
	facts, err := Examine(listOf(nil, benchmarkTasks()...), tableLimit)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if h := facts.Judge(limits(), noon); h.Restorable == 0 {
			b.Fatal(h)
		}
	}
}

func benchmarkTasks() (tasks []apiclient.Backup) {
	var subtasks []string
	for i := range 20 {
		subtasks = append(subtasks, fmt.Sprintf(`{"DataBase":"database_%d","Table":"cdc_ods_t2030_lcpf_api_topic_msg_with_a_long_name_%02d",`+
			`"Status":"success","StartTime":1772600000,"FinishedTime":1772603600,"Size":%d,"Detail":"[]"}`, i%3, i, 10+i))
	}
	for day := range 30 {
		t := task(fmt.Sprint("bt-", day), apiclient.StatusCompleted, float64(24*day+2))
		t.Expire = noon.Add(90 * 24 * time.Hour)
		t.SetSubTasks("[" + strings.Join(subtasks, ",") + "]")
		tasks = append(tasks, t)
	}
	return tasks
}
