package report

import (
	"strings"
	"testing"
	"time"
)

// No line is wider than a terminal, whatever names and messages there are; ids are never cut.
func TestTableFits(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	last, deadline, restorable := at.Add(-47*time.Hour-59*time.Minute), at.Add(-21*time.Hour-59*time.Minute), 1
	long := strings.Repeat("订单仓库", 10)
	r := &Report{
		At: at, State: "unhealthy", Summary: Summary{Unhealthy: 1, Unknown: 1},
		Warnings:       []string{strings.Repeat("A warning of many words. ", 20)},
		MissingActions: []string{"sr:DescribeBackups", "sr:DescribeInstances"},
		Instances: []Instance{
			{
				InstanceID: "c-0123456789abcdef", RegionID: "ap-southeast-1", Account: "production-of-the-finance-department", InstanceName: long,
				State: "unhealthy", Reasons: []string{"Nothing to restore: the instance has no backup task.", "Overdue by 21 h 59 min."},
				LastSuccess: &last, Deadline: &deadline, RestorableBackups: &restorable,
			},
			{
				InstanceID: "c-0123456789abcde0", RegionID: "cn-hangzhou-finance", Account: "b", State: "unknown",
				Error: &Error{Message: "bad_response: " + strings.Repeat("x", 300), RequestID: "ABC"},
			},
		},
	}
	var plain, colored strings.Builder
	if err := r.WriteTable(&plain, false); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteTable(&colored, true); err != nil {
		t.Fatal(err)
	}
	text := plain.String()
	for line := range strings.Lines(text) {
		if n := displayWidth(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"unhealthy  c-0123456789abcdef  订单仓…", "1 d 23 h", "21 h 59 min ago", "unknown    c-0123456789abcde0  -", "request ABC",
		"the instance has no backup task.", "Overdue by 21 h 59 min.", "1 unhealthy, 1 unknown, 0 healthy",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
	if got := strings.Join(strings.Fields(text), ""); !strings.Contains(got, long+":Nothingtorestore") {
		t.Errorf("a name that was cut is nowhere in full:\n%s", text)
	}
	if !strings.Contains(colored.String(), "\x1b[1;31munhealthy\x1b[0m  c-") ||
		!strings.Contains(colored.String(), "\x1b[33m1 unknown\x1b[0m") {
		t.Errorf("states have no color:\n%q", colored.String())
	}
	without := colored.String()
	for _, sequence := range []string{"\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"} {
		without = strings.ReplaceAll(without, sequence, "")
	}
	if without != text {
		t.Errorf("colors change the text:\n%q\n%q", without, text)
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"a b c":             "  a b c\n",
		"four words in two": "  four\n  words\n  in two\n",
		"abcdefghijklm no":  "  abcdef\n  ghijkl\n  m no\n",
		"订单仓库":              "  订单仓\n  库\n",
	} {
		if got := wrap(text, 8, 2); got != want {
			t.Errorf("%q is wrapped as %q instead of %q", text, got, want)
		}
	}
}
