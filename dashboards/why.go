package main

import (
	"fmt"
	"strings"
)

const (
	other      = "other"       // stands for every condition that is not listed here
	noExporter = "no_exporter" // holds if no exporter says anything of the instance
	notRead    = "not_read"    // holds if nothing is known of a read: see hold
)

// weighted is a condition. Those that cannot hold without one another share a digit, by their weights.
type weighted struct {
	condition string
	weight    int
}

// digit is a decimal digit of the number that says which conditions hold. It has words for each value from 1 on.
type digit struct {
	reasons []weighted
	words   []string
}

// urgency lists the conditions, the most urgent last.
var urgency = []digit{
	{[]weighted{{other, 1}}, []string{"a condition this dashboard does not know"}},
	{
		[]weighted{{"no_policy", 1}, {"restore_untested", 2}},
		[]string{"no policy", "restore untested", "no policy, restore untested"},
	},
	{[]weighted{{"status_unknown", 1}}, []string{"unknown status"}},
	{[]weighted{{"implausible", 1}}, []string{"implausible task"}},
	{[]weighted{{"retention_too_short", 1}}, []string{"retention too short"}},
	{[]weighted{{"shrunk", 1}}, []string{"shrunk"}},
	{[]weighted{{"tables_failed", 1}}, []string{"tables failed"}},
	{[]weighted{{"stuck", 1}}, []string{"stuck"}},
	{[]weighted{{notRead, 1}}, []string{"no read known for 26 h"}},
	{
		[]weighted{{"unreadable", 1}, {"access_denied", 1}, {"throttled", 2}},
		[]string{"unreadable", "unreadable: access denied", "unreadable: throttled", "unreadable: access denied, throttled"},
	},
	{[]weighted{{noExporter, 1}}, []string{"no exporter answers"}},
	{[]weighted{{"subscription_ending", 1}}, []string{"subscription ending"}},
	{[]weighted{{"failing", 1}, {"failing_repeatedly", 1}}, []string{"failing", "failing repeatedly"}},
	{[]weighted{{"overdue", 1}}, []string{"overdue"}},
	{[]weighted{{"expiring", 1}}, []string{"last backup expiring"}},
	{[]weighted{{"missing", 1}}, []string{"nothing to restore"}},
}

// weights is a vector of the conditions' weights.
func weights() string {
	var all []string
	power := 1
	for _, d := range urgency {
		for _, r := range d.reasons {
			all = append(all, paren(`label_replace(vector(%d), "condition", %q, "", "")`, power*r.weight, r.condition))
		}
		power *= 10
	}
	return or(all...)
}

// unwatched are the instances that are known, and that no exporter says anything of.
func unwatched() string {
	return paren("%s unless on (%s) %s", or(recordedInstances(), goneInstances()), identity, perInstance("up"))
}

// forgotten are the instances that cannot be read and have not been for so long that their last values are not held any more.
func forgotten() string {
	unread := or(paren("%s == 0", perInstance("up")), unwatched())
	return paren("%s unless on (%s) ((time() - %s) <= %d)", unread, identity, lastKnown("last_read_timestamp_seconds"), holdSeconds)
}

// notListed matches the conditions that urgency does not list.
func notListed() string {
	var all []string
	for _, d := range urgency {
		for _, r := range d.reasons {
			all = append(all, r.condition)
		}
	}
	return fmt.Sprintf("condition!~%q", strings.Join(all, "|"))
}

// digits is, for each instance with a condition, the number whose digits say which. PromQL cannot join texts; it can add numbers.
func digits() string {
	holds := or(paren("%s == 1", heldConditions()),
		paren(`label_replace((%s * 0) + 1, "condition", %q, "", "")`, unwatched(), noExporter),
		paren(`label_replace((%s * 0) + 1, "condition", %q, "", "")`, forgotten(), notRead))
	rest := paren(`label_replace(group by (%s) (%s == 1), "condition", %q, "", "")`, identity, heldConditions(notListed()), other)
	return paren("sum by (%s) %s", identity, or(paren("%s * on (condition) group_left () %s", holds, weights()), rest))
}

// whyText is a label that lists the conditions of an instance, the most urgent first. It takes the digits from the last on, and puts their
// words behind a mark. The mark alternates, so that a step does not take a second digit.
func whyText() string {
	mark, next := "#", "!"
	text := paren(`label_replace(count_values by (%s) ("why", %s), "why", "$1%s", "why", "(.*)")`, identity, digits(), mark)
	for _, d := range urgency {
		text = paren(`label_replace(%s, "why", "$1%s$2", "why", "(?:([0-9]*)0)?%s(.*)")`, text, next, mark)
		for n, words := range d.words {
			text = paren(`label_replace(%s, "why", "$1%s, %s$2", "why", "([0-9]*)%d%s(.*)")`, text, next, words, n+1, mark)
		}
		mark, next = next, mark
	}
	return paren(`label_replace(%s, "why", "$1", "why", ".(?:, )?(.*)")`, text)
}

// rank orders instances: the most urgent condition first, then the longest past the deadline.
func rank() string {
	late := paren("clamp(time() - %s, -4e8, 4e8)", lastKnown("deadline_timestamp_seconds"))
	class := or(paren("floor((log10(%s)) + 1e-9) + 1", digits()), paren("%s * 0", currentState()))
	return paren("(%s * 1e9) + on (%s) %s", class, identity, orOfInstance(late, paren("(%s * 0) - 4e8", currentState())))
}

// wordsOf returns the words of conditions, as alternatives of a regular expression.
func wordsOf(conditions ...string) string {
	var all []string
	for _, d := range urgency {
		for n, r := range d.reasons {
			for _, c := range conditions {
				if r.condition == c {
					all = append(all, d.words[n])
				}
			}
		}
	}
	return strings.Join(all, "|")
}

// whyColors draws the words of a condition that pages in red.
func whyColors() []object {
	pages := wordsOf("missing", "expiring", "overdue", "failing_repeatedly")
	regex := func(n int, pattern, color string) object {
		return object{"type": "regex", "options": object{
			"pattern": pattern, "result": object{"text": "$1", "color": color, "index": n},
		}}
	}
	return []object{
		regex(0, fmt.Sprintf("^(.*(?:%s).*)$", pages), bad),
		regex(1, "^((?:no exporter answers|unreadable|no read known for 26 h|: access denied|: throttled|, throttled|, )+)$", unknown),
		regex(2, "^(.+)$", "orange"),
	}
}
