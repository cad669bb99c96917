package main

// policyCount is the number of policies of each instance, as of the last read. It is -1 where that is the reason for which no backup comes,
// and 0 where somebody starts backups by other means.
func policyCount() string {
	known := lastKnown("policies")
	return orOfInstance(paren("%s - on (%s) %s", known, identity, perInstance("condition", `condition="no_policy"`)), known)
}

// restoreProven is when the newest restore of each instance completed; 0 if its history has none.
func restoreProven() string {
	return orOfInstance(lastKnown("last_restore_timestamp_seconds"), paren("0 * %s", lastKnown("restores")))
}

// Words for what policyCount and restoreProven return instead of a number or a time.
var (
	noPolicies = values("-1", "none", bad, "0", "none", neutral)
	noRestores = values("0", "none known", neutral)
)

func policyColumn(title string) column {
	return column{title: title, expr: policyCount(), config: colored("none", noPolicies, steps(neutral)).with(wide(58))}
}

func restoreColumn(title string) column {
	return column{
		title: title, expr: milliseconds(restoreProven()),
		config: colored("dateTimeFromNow", noRestores, steps(neutral)).with(wide(112)),
	}
}

// policiesAndRestores says whether there will be a backup, and whether one was ever restored.
func policiesAndRestores() object {
	read := paren("0 * %s", orOfInstance(perInstance("policies"), perInstance("restores")))
	return newTable("Policies and restores",
		"Whether a policy starts backups, and when a restore was last proven. A dash: not known. They are read slowly, and "+
			"only if the exporter is configured to.", 24,
		column{
			title: "Name", label: "instance_name", expr: orElse(named(read),
				sayIf(isRead(), "instance_name", "policies and restores are not read"), say("instance_name", "no instance is read")),
			config: wide(225).with(toInstance),
		},
		policyColumn("Policies"),
		column{
			title: "Backups last", expr: paren("86400 * %s", perInstance("policy_expire_days")), config: wide(110).with(object{"unit": "s"}),
		},
		column{
			title: "A task may run", expr: perInstance("policy_timeout_seconds"), config: wide(115).with(object{"unit": "s"}),
		},
		restoreColumn("Restore proven"),
		column{title: "It took", expr: perInstance("last_restore_duration_seconds"), config: wide(90).with(object{"unit": "s"})},
		idColumn(), regionColumn(), clusterColumn(),
	).sorted("Restore proven", false).high(9)
}

// policyAndRestore says the same of one instance.
func policyAndRestore() row {
	const none = "not known"
	return row{
		stat("Backup policies", "How many there are, if the exporter reads them. Without one, no backup starts by itself.", 3, "none", 0, none,
			steps(neutral), instant(policyCount(), "")).field(object{"mappings": noPolicies}).high(6),
		stat("Backups last", "By the policy that keeps them shortest.", 3, "s", 0, none, steps(neutral),
			instant(paren("86400 * %s", perInstance("policy_expire_days")), "")).high(6),
		stat("A task may run for", "By the policy that waits longest.", 3, "s", 0, none, steps(neutral),
			instant(perInstance("policy_timeout_seconds"), "")).high(6),
		newTable("Policies", "In the words of the API, which says neither in which time zone they run, nor whether daily, weekly or monthly.", 6,
			column{
				title: "Policy", label: "policy_id", expr: orElse(
					perInstance("policy_info", "policy_id", "hour", "minute", "recurrence"),
					sayIf(paren("%s == 0", perInstance("policies")), "policy_id", "none"), say("policy_id", none)),
				config: wide(110),
			},
			column{title: "Hour", label: "hour", config: wide(58)}, column{title: "Minute", label: "minute", config: wide(70)},
			column{title: "Recurrence", label: "recurrence", config: wide(100)}).high(6),
		stat("Restore proven", "When the newest restore in the history of the instance completed.", 3, "dateTimeFromNow", 0, none, steps(neutral),
			instant(milliseconds(restoreProven()), "")).field(object{"mappings": noRestores}).high(6),
		stat("It took", "How long that restore took.", 3, "s", 0, none, steps(neutral),
			instant(perInstance("last_restore_duration_seconds"), "")).high(6),
		newTable("Restores", "Restores in the history of the instance by status.", 3,
			column{
				title: "Status", label: "status", expr: orElse(paren("%s > 0", perInstance("restores", "status")),
					sayIf(perInstance("restores"), "status", "none"), say("status", none)),
				config: wide(95),
			},
			column{title: "Number", expr: paren("%s > 0", perInstance("restores", "status")), config: wide(70)}).high(6),
	}
}
