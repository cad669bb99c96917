//go:build system

package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

const manyInstances = 2000

// manyTasks are daily backups of an instance. Of each ten instances, one is overdue, the longer the higher its number.
func manyTasks(n int) func(time.Time) []simulator.Task {
	began := time.Now().Add(-2 * time.Hour)
	if n%10 == 0 {
		began = began.Add(-26*time.Hour - time.Duration(n)*time.Minute)
	}
	return func(time.Time) (tasks []simulator.Task) {
		for d := range 10 {
			start := began.Add(-time.Duration(d) * 24 * time.Hour)
			tasks = append(tasks, simulator.Task{
				BackupTaskID: fmt.Sprintf("bt-%d-%d", n, d), Status: "COMPLETED", Size: 100,
				Start: simulator.Millis(start), Finish: simulator.Millis(start.Add(time.Hour)),
				Expire:   simulator.Millis(start.Add(14 * 24 * time.Hour)),
				Snapshot: &simulator.Snapshot{InstanceName: fmt.Sprintf("name-%04d", n)},
				SubTasks: []simulator.SubTask{{Database: "ods", Table: "events", Status: "success", Size: 70}},
			})
		}
		return tasks
	}
}

// serveMany serves an exporter of many instances, each read once, and returns its address.
func serveMany(t *testing.T) (url string, exporter *os.Process) {
	t.Helper()
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	var text strings.Builder
	for n := range manyInstances {
		region := []string{"cn-hangzhou", "cn-shanghai"}[n%2]
		in := simulator.Instance{InstanceID: fmt.Sprintf("c-%04d", n), RegionID: region, Tasks: manyTasks(n)}
		if n == 7 {
			in.Fault = simulator.Denied("sr:DescribeBackups")
		}
		sim.Set(in)
		fmt.Fprintf(&text, "- {instance_id: %s, region_id: %s, account: %s}\n", in.InstanceID, in.RegionID, []string{"prod", "test"}[n/1000])
	}
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	file, address := filepath.Join(t.TempDir(), "many.yml"), freeAddress(t)
	head := fmt.Sprintf("api: {endpoint: %q, requests_per_second: 100000}\naccounts:\n"+
		"  prod: &key {access_key_id: id, access_key_secret: secret}\n  test: *key\ninstances:\n", api.URL)
	if err := os.WriteFile(file, []byte(head+text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	exporter = start(t, build(t), "--config.file="+file, "--web.listen-address="+address, "--scrape.timeout=5m")
	eventually(t, "the first read", func() error { _, err := fetch(t, "http://"+address+"/metrics"); return err })
	return "http://" + address + "/", exporter
}

// rows is the expression of how many instances the page shows, and of the first.
const (
	rows     = `document.querySelectorAll("tr.instance").length`
	firstRow = `document.querySelector("tr.instance a.toggle").textContent`
	hash     = "#"
)

// shows is the expression of whether the line below the table has a text.
func shows(text string) string {
	return fmt.Sprintf(`document.querySelector(".pages").textContent.includes(%q)`, text)
}

// choose chooses a value of a list.
func (b *browser) choose(name, value string) {
	b.t.Helper()
	b.evaluate(fmt.Sprintf(`(() => {
		const list = document.querySelector("select[name=%s]");
		list.value = %q;
		list.dispatchEvent(new Event("change", {bubbles: true}));
	})()`, name, value))
}

// A person searches, filters, sorts and opens, among 2,000 instances, with the mouse and the keyboard.
func TestPageOfManyInstances(t *testing.T) {
	url, exporter := serveMany(t)
	b := newBrowser(t)
	b.call("Page.addScriptToEvaluateOnNewDocument", object{"source": `window.violations = [];
		const later = setTimeout;
		window.setTimeout = (due, wait) => { Object.assign(window, {due, wait}); return later(due, wait); };
		document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));`})
	b.look(1400, "light")
	b.open(url)
	b.until(rows + ` === 100 && document.title === "StarRocks backups: 200 unhealthy, 1 unknown, 1799 healthy"`)
	t.Logf("the page of %d instances: %v", manyInstances, b.evaluate(`(() => {
		const n = performance.getEntriesByType("navigation")[0];
		return Math.round(n.responseEnd - n.requestStart) + " ms until its last byte, " + n.decodedBodySize + " bytes, " +
			Math.round(n.loadEventEnd - n.startTime) + " ms until it is shown, " + document.querySelectorAll("*").length + " elements";
	})()`))
	if first := b.evaluate(firstRow); first != "name-1990" {
		t.Errorf("the longest overdue is not first, but %v", first)
	}

	b.click("#q")
	b.write("NAME-123")
	b.until(rows + ` === 10 && location.search === "?q=NAME-123" && document.activeElement.id === "q"`)
	b.click(hash + "state-unhealthy")
	b.until(rows + ` === 1 && ` + firstRow + ` === "name-1230"`)
	b.click(hash + "clear")
	b.until(rows + ` === 100 && document.getElementById("q").value === "" && location.search === ""`)
	b.evaluate("history.back()")
	b.until(rows + ` === 1 && document.getElementById("q").value === "NAME-123"`)
	b.evaluate("history.back()")
	b.until(rows + ` === 10`)
	b.open(url)

	b.click(hash + "condition-overdue")
	b.until(shows("of 200 ") + ` && document.querySelector("#condition-overdue[aria-current]") !== null`)
	b.click(hash + "next")
	b.until(shows("101–200 of 200 "))
	b.click(hash + "condition-overdue")
	b.until(shows("of 2000 "))
	b.choose("region", "cn-shanghai")
	b.until(shows("of 1000 "))
	b.choose("account", "test")
	b.until(shows("of 500 "))

	b.open(url)
	b.click(hash + "sort-name")
	b.until(firstRow + ` === "c-0007" && document.querySelector("th[aria-sort=ascending]").textContent === "Instance"`)
	b.click(hash + "sort-name")
	b.until(firstRow + ` === "name-1999" && document.querySelector("th[aria-sort=descending]") !== null`)
	b.click(`tr[data-instance="cn-shanghai/c-1997"] td.newest`) // anywhere in the row
	b.until(`document.querySelector("tr[data-instance='cn-shanghai/c-1997'] + tr.detail") !== null`)
	detail := fmt.Sprint(b.evaluate(`document.querySelector("tr.detail").innerText`))
	for _, want := range []string{"Last tasks", "Largest tables", "ods.events", "10 restore points"} {
		if !strings.Contains(detail, want) {
			t.Errorf("no %q in\n%s", want, detail)
		}
	}
	b.click(`tr[data-instance="cn-shanghai/c-1997"] a.toggle`)
	b.until(`document.querySelector("tr.detail") === null`)

	// The page asks again by itself, and keeps what was chosen.
	b.evaluate(`document.getElementById("head").dataset.seen = true`)
	b.evaluate("due()")
	b.until(`!document.getElementById("head").dataset.seen && wait === 30000 && ` + firstRow + ` === "name-1999"`)
	if violations := fmt.Sprint(b.evaluate("violations")); violations != "[]" {
		t.Errorf("the browser refused %s", violations)
	}

	// An exporter that is gone is not shown as if it were there.
	if err := exporter.Kill(); err != nil {
		t.Fatal(err)
	}
	b.click(hash + "sort-name")
	b.until(`document.getElementById("lost").innerText.startsWith("The exporter has not answered since ")`)
}

// Without scripts, everything still works.
func TestPageWithoutScripts(t *testing.T) {
	binary, address := build(t), freeAddress(t)
	start(t, binary, "--demo", "--web.listen-address="+address)
	eventually(t, "the exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	b := newBrowser(t)
	b.call("Emulation.setScriptExecutionDisabled", object{"value": true})
	b.look(1400, "light")
	b.open("http://" + address + "/")
	b.until(rows + ` === 19`)
	b.click("#q")
	b.write("ledger")
	b.click("noscript button")
	b.until(rows + ` === 1`)
	b.click("a.toggle")
	b.until(`document.querySelector("tr.detail") !== null`)
	b.click(hash + "clear")
	b.until(rows + ` === 19`)
	b.click(hash + "state-unknown")
	b.until(rows + ` === 2`)
}

// contrasts is a script that returns the texts whose contrast is less than WCAG AA asks for.
const contrasts = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3]));
	const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
		return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
	};
	const poor = new Set();
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walker.nextNode();) {
		const e = n.parentElement;
		if (!n.data.trim() || !e.getClientRects().length || e.closest("option, noscript")) continue;
		const back = behind(e), front = over(parse(getComputedStyle(e).color), back);
		const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) poor.add(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + n.data.trim().slice(0, 40));
	}
	return [...poor];
})()`

// The page can be read in every situation, in light and dark, and 500 pixels wide. With -artifacts, the pictures are kept for a person to
// look at; docs/page.png is readme.png, as wide as a README shows it.
func TestPageLooks(t *testing.T) {
	binary := build(t)
	b := newBrowser(t)
	looks := func(name, url string, expect ...string) {
		t.Helper()
		for _, c := range []struct {
			name   string
			width  int
			scheme string
		}{{"light", 1400, "light"}, {"dark", 1400, "dark"}, {"medium", 1000, "light"}, {"narrow", 500, "light"}} {
			b.look(c.width, c.scheme)
			b.open(url)
			b.picture(filepath.Join(t.ArtifactDir(), name+"_"+c.name+".png"))
			if poor, _ := json.Marshal(b.evaluate(contrasts)); string(poor) != "[]" {
				t.Errorf("%s, %s: too little contrast: %s", name, c.name, poor)
			}
			if wide := b.evaluate("document.documentElement.scrollWidth"); wide.(float64) > float64(c.width) {
				t.Errorf("%s, %s: %v pixels wide", name, c.name, wide)
			}
		}
		text := fmt.Sprint(b.evaluate("document.body.innerText"))
		for _, want := range expect {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}

	demo := freeAddress(t)
	start(t, binary, "--demo", "--web.listen-address="+demo, "--web.grafana-url=https://grafana.example",
		"--web.runbook-url=https://example.org/")
	eventually(t, "the policies, which say what is stuck", func() error {
		metrics, err := fetch(t, "http://"+demo+"/metrics")
		if err == nil && !regexp.MustCompile(`starrocks_backup_condition\{condition="stuck".*\} 1\n`).Match(metrics) {
			err = errors.New("nothing is stuck")
		}
		return err
	})
	looks("demo", "http://"+demo+"/", "12 of 19 instances are unhealthy, and 2 could not be read.")
	b.look(1000, "light")
	b.open("http://" + demo + "/")
	b.pictureOfTop(filepath.Join(t.ArtifactDir(), "readme.png"), 1066, 2)
	looks("open", "http://"+demo+"/?open=cn-shanghai/"+simulator.InstanceID("payments-failing-for-a-week"), "Last tasks", "Failed tables")

	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	api := httptest.NewUnstartedServer(sim)
	api.Start()
	t.Cleanup(api.Close)
	text := fmt.Sprintf("api: {endpoint: %q, max_attempts: 1}\naccounts: {default: {access_key_id: id, access_key_secret: secret}}\n"+
		"discovery: [{region_id: cn-beijing}]\ninstances:\n", api.URL)
	for _, d := range simulator.DemoFleet() {
		sim.Set(d.Instance)
		text += fmt.Sprintf("- {instance_id: %s, region_id: %s}\n", d.InstanceID, d.RegionID)
	}
	file, address := filepath.Join(t.TempDir(), "test.yml"), freeAddress(t)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	exporter := start(t, binary, "--config.file="+file, "--web.listen-address="+address)
	eventually(t, "the exporter", func() error { _, err := fetch(t, "http://"+address+"/metrics"); return err })
	api.Close()
	if _, err := fetch(t, "http://"+address+"/metrics"); err != nil { // the page has its last read from here
		t.Fatal(err)
	}
	write(text + "oops: 1\n")
	if err := exporter.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reload", func() error {
		body, err := fetch(t, "http://"+address+"/metrics")
		if err == nil && !strings.Contains(string(body), "config_last_reload_successful 0") {
			err = fmt.Errorf("not reloaded:\n%s", body)
		}
		return err
	})
	looks("api_down", "http://"+address+"/", "None of 19 instances could be read. By their last read,", "stock-overdue",
		"refuses the connection", "The configuration could not be reloaded", "oops", "The last complete read was at")

	address = freeAddress(t)
	write(text) // nothing was ever read
	start(t, binary, "--config.file="+file, "--web.listen-address="+address)
	eventually(t, "another exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	looks("unknown", "http://"+address+"/", "None of 19 instances could be read. 1 region could not be listed.", "1 region unknown",
		"No earlier read is known.")
	write(strings.Split(text, "instances:")[0])
	address = freeAddress(t)
	start(t, binary, "--config.file="+file, "--web.listen-address="+address)
	eventually(t, "the last exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	looks("unlisted", "http://"+address+"/", "No instance is known. Which ones there are is unknown until their regions can be listed.")
}

// The report is the same for a script.
func TestPageAsJSON(t *testing.T) {
	binary, address := build(t), freeAddress(t)
	start(t, binary, "--demo", "--web.listen-address="+address)
	eventually(t, "the exporter", func() error { _, err := fetch(t, "http://"+address+"/-/ready"); return err })
	body, err := fetchAs(t, "http://"+address+"/", "application/json")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		State     string
		Instances []struct{ Reasons []string }
	}
	if err := json.Unmarshal(body, &report); err != nil || report.State != "unhealthy" || len(report.Instances) != 19 ||
		!strings.HasPrefix(report.Instances[0].Reasons[0], "Nothing to restore: ") {
		t.Errorf("%v %+v", err, report)
	}
}
