package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"git.example.com/starrocks/starrocks_backup_exporter/schedule"
)

// Load reads a configuration file. Its error has one line for each mistake, with file, line and field.
func Load(path string) (*Config, error) {
	c, _, err := Check(path)
	return c, err
}

// Check is Load for a person who writes the file: the warnings say what is probably wrong, whether or not there is an error.
func Check(path string) (c *Config, warnings []string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return parse(path, content)
}

// Parse reads the content of a configuration file. Relative paths in it refer to the directory of name.
func Parse(name string, content []byte) (*Config, error) {
	c, _, err := parse(name, content)
	return c, err
}

func parse(name string, content []byte) (c *Config, warnings []string, err error) {
	c = Default()
	f := &findings{file: name, lines: map[string]int{}, broken: map[string]bool{}}
	d := decoder{f, map[*yaml.Node]bool{}}
	if root := d.document(content); root != nil {
		d.decode(root, "", reflect.ValueOf(c).Elem())
	}
	c.setDirectory(filepath.Dir(name))
	c.check(f)
	c.warn(f)
	if err := f.err(); err != nil {
		return nil, f.warnings(), err
	}
	c.FillDefaults()
	c.warnings = f.warnings()
	return c, c.warnings, nil
}

// FillDefaults fills in what instances and discoveries leave out. Load and Parse call it.
func (c *Config) FillDefaults() {
	for i := range c.Instances {
		in := &c.Instances[i]
		in.Account = cmp.Or(in.Account, DefaultAccount)
		in.inherit(c.Backups)
	}
	for i := range c.Discovery {
		e := &c.Discovery[i]
		e.Account = cmp.Or(e.Account, DefaultAccount)
		e.Listing = cmp.Or(e.Listing, ListingInstance)
		e.RefreshInterval = cmp.Or(e.RefreshInterval, defaultRefreshInterval)
		e.inherit(c.Backups)
	}
}

// inherit fills in what is not set. With a schedule, a maximum age counts only if it is set.
func (e *Expectations) inherit(from Backups) {
	e.Thresholds.inherit(from.Thresholds)
	if e.Schedule == "" {
		e.MaxAge = cmp.Or(e.MaxAge, from.MaxAge)
	}
}

// inherit fills in what is not set.
func (t *Thresholds) inherit(from Thresholds) {
	t.StuckAfter = cmp.Or(t.StuckAfter, from.StuckAfter)
	t.ExpiringWithin = cmp.Or(t.ExpiringWithin, from.ExpiringWithin)
	t.ShrunkBelow = cmp.Or(t.ShrunkBelow, from.ShrunkBelow)
}

// check checks the thresholds that the file sets.
func (t Thresholds) check(f *findings, path string) {
	for name, value := range map[string]model.Duration{"stuck_after": t.StuckAfter, "expiring_within": t.ExpiringWithin} {
		if _, given := f.lines[path+"."+name]; given && value <= 0 {
			f.fail(path+"."+name, "must be above 0")
		}
	}
	if _, given := f.lines[path+".shrunk_below"]; given && !(t.ShrunkBelow > 0 && t.ShrunkBelow < 1) {
		f.fail(path+".shrunk_below", "must be between 0 and 1")
	}
}

// setDirectory makes relative paths relative to the file's directory.
func (c *Config) setDirectory(directory string) {
	for name, a := range c.Accounts {
		a.AccessKeySecretFile = promconfig.JoinDir(directory, a.AccessKeySecretFile)
		a.SecurityTokenFile = promconfig.JoinDir(directory, a.SecurityTokenFile)
		c.Accounts[name] = a
	}
	c.API.HTTPClient.TLSConfig.SetDirectory(directory)
}

func (c *Config) check(f *findings) {
	c.API.check(f)
	if c.Backups.MaxAge <= 0 {
		f.fail("backups.max_age", "must be above 0")
	}
	if c.Backups.SubtaskLimit < 0 {
		f.fail("backups.subtask_limit", "must not be negative")
	}
	c.Backups.check(f, "backups")
	c.Backups.checkStatusWords(f)
	checkRefreshInterval(f, "policies", c.Policies.RefreshInterval)
	checkRefreshInterval(f, "restores", c.Restores.RefreshInterval)
	if optional := c.Policies.RefreshInterval + c.Restores.RefreshInterval; optional > 0 && c.API.Concurrency == 1 {
		f.fail("api.concurrency", "must be 2 or more if policies or restores are configured: half of the requests are kept free for backups")
	}
	if _, given := f.lines["restores.max_age"]; given && c.Restores.MaxAge <= 0 {
		f.fail("restores.max_age", "must be above 0")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		c.Accounts[name].check(f, "accounts."+name)
	}
	if len(c.Instances)+len(c.Discovery) == 0 && !f.isBroken("discovery") {
		f.fail("instances", "none configured, and no discovery")
	}
	c.checkInstances(f)
	c.checkDiscovery(f)
}

// checkStatusWords checks the words and what they mean. Words are matched without regard to case and to spaces around them.
func (b Backups) checkStatusWords(f *findings) {
	first := map[string]string{}
	for _, word := range slices.Sorted(maps.Keys(b.StatusWords)) {
		path := "backups.status_words." + word
		if status := b.StatusWords[word]; !slices.Contains(statuses, status) {
			f.fail(path, "%q is not a status; it must be one of %s", status, strings.Join(statuses, ", "))
		}
		key := strings.ToLower(strings.TrimSpace(word))
		if same, twice := first[key]; twice {
			f.fail(path, "duplicate of %q: case and surrounding spaces are ignored", same)
		}
		first[key] = word
	}
}

// minRefreshInterval is the shortest interval of what is read slowly.
const minRefreshInterval = model.Duration(time.Minute)

// checkRefreshInterval checks how often something is read that is not read at all if its section is left out.
func checkRefreshInterval(f *findings, section string, interval model.Duration) {
	path := section + ".refresh_interval"
	_, wanted := f.lines[section]
	_, given := f.lines[path]
	switch {
	case given && interval < minRefreshInterval:
		f.fail(path, "must be %s or more", minRefreshInterval)
	case wanted && !given && !f.breaksIn(section):
		f.fail(path, "missing")
	}
}

func (c *Config) checkAccount(f *findings, path, account string) {
	if _, ok := c.Accounts[account]; ok || account == "" || account == DefaultAccount || f.isBroken("accounts") {
		return
	}
	hint := ""
	if meant := nearest(account, slices.Collect(maps.Keys(c.Accounts))); meant != "" {
		hint = fmt.Sprintf("; did you mean %q?", meant)
	}
	f.fail(path+".account", "account %q is not defined under accounts%s", account, hint)
}

func (c *Config) checkInstances(f *findings) {
	type key struct{ regionID, instanceID string }
	first := map[key]int{}
	for i := range c.Instances {
		in := &c.Instances[i]
		path := fmt.Sprintf("instances[%d]", i)
		in.check(f, path)
		in.setSchedule(f, path)
		c.checkAccount(f, path, in.Account)
		k := key{in.RegionID, in.InstanceID}
		if in.RegionID == "" || in.InstanceID == "" {
			continue
		}
		if line, twice := first[k]; twice {
			f.fail(path, "instance %q of region %q is configured twice, first in line %d", in.InstanceID, in.RegionID, line)
		} else {
			first[k] = f.lines[path]
		}
	}
}

func (c *Config) checkDiscovery(f *findings) {
	type key struct{ regionID, account, tags string }
	first := map[key]int{}
	for i := range c.Discovery {
		e := &c.Discovery[i]
		path := fmt.Sprintf("discovery[%d]", i)
		checkRegionID(f, path, e.RegionID)
		e.check(f, path)
		for n, id := range e.Exclude.InstanceIDs {
			if strings.TrimSpace(id) == "" {
				f.fail(fmt.Sprintf("%s.exclude.instance_ids[%d]", path, n), "missing")
			}
		}
		e.setSchedule(f, path)
		c.checkAccount(f, path, e.Account)
		if e.Listing != "" && e.Listing != ListingInstance && e.Listing != ListingRegion {
			f.fail(path+".listing", "must be %s or %s", ListingInstance, ListingRegion)
		}
		if _, given := f.lines[path+".refresh_interval"]; given && e.RefreshInterval <= 0 {
			f.fail(path+".refresh_interval", "must be above 0")
		}
		if e.RegionID == "" || f.breaksIn(path+".tags") || f.isBroken(path+".account") {
			continue
		}
		k := key{e.RegionID, cmp.Or(e.Account, DefaultAccount), e.TagList()}
		if line, twice := first[k]; twice {
			f.fail(path, "region %q is discovered twice with the same account and tags, first in line %d", e.RegionID, line)
		} else {
			first[k] = f.lines[path]
		}
	}
}

// statuses are the statuses that a word may mean.
var statuses = []string{"pending", "running", "completed", "failed", "canceled"}

// TagList returns the tags in order, as one line.
func (d Discovery) TagList() string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(d.Tags)) {
		all = append(all, k+"="+d.Tags[k])
	}
	return strings.Join(all, ",")
}

func (i *Instance) check(f *findings, path string) {
	if i.InstanceID == "" {
		f.fail(path+".instance_id", "missing")
	}
	if strings.TrimSpace(i.InstanceID) != i.InstanceID {
		f.fail(path+".instance_id", "must not begin or end with a space")
	}
	checkRegionID(f, path, i.RegionID)
	i.Expectations.check(f, path)
}

func checkRegionID(f *findings, path, id string) {
	switch {
	case id == "":
		f.fail(path+".region_id", "missing")
	case !regionID.MatchString(id) || len(id) > 63:
		f.fail(path+".region_id", "%q is not a region id (lower-case letters, digits and hyphens)", id)
	}
}

func (e *Expectations) check(f *findings, path string) {
	if _, given := f.lines[path+".max_age"]; given && e.MaxAge <= 0 {
		f.fail(path+".max_age", "must be above 0")
	}
	e.Thresholds.check(f, path)
}

// setSchedule parses the schedule and fills in its defaults.
func (e *Expectations) setSchedule(f *findings, path string) {
	_, hasGrace := f.lines[path+".grace"]
	if hasGrace && e.Grace < 0 {
		f.fail(path+".grace", "must not be negative")
	}
	if e.Schedule == "" {
		if f.isBroken(path + ".schedule") {
			return
		}
		if e.TimeZone != "" {
			f.fail(path+".time_zone", "needs a schedule")
		}
		if hasGrace {
			f.fail(path+".grace", "needs a schedule")
		}
		return
	}
	if !hasGrace {
		e.Grace = defaultGrace
	}
	e.TimeZone = cmp.Or(e.TimeZone, "UTC")
	location, err := time.LoadLocation(e.TimeZone)
	if err != nil || e.TimeZone == "Local" { // Local differs from machine to machine
		f.fail(path+".time_zone", "unknown time zone %q", e.TimeZone)
		location = time.UTC // so that the schedule is checked, too
	}
	if e.timetable, err = schedule.Parse(e.Schedule, location); err != nil {
		f.fail(path+".schedule", "%v", err)
	}
}

func (a API) check(f *findings) {
	a.checkEndpoint(f)
	if a.Timeout <= 0 {
		f.fail("api.timeout", "must be above 0")
	}
	if a.MaxAttempts < 1 {
		f.fail("api.max_attempts", "must be 1 or more")
	}
	if a.PageSize < 1 || a.PageSize > 100 {
		f.fail("api.page_size", "must be from 1 to 100")
	}
	if !(a.RequestsPerSecond > 0) || math.IsInf(a.RequestsPerSecond, 0) {
		f.fail("api.requests_per_second", "must be a number above 0")
	}
	if a.Concurrency < 1 || a.Concurrency > 1000 {
		f.fail("api.concurrency", "must be from 1 to 1000")
	}
	a.HTTPClient.check(f)
}

func (a API) checkEndpoint(f *findings) {
	u, err := url.Parse(a.URL("region"))
	if err != nil {
		f.fail("api.endpoint", "not a valid URL") // the error's text may contain a password
		return
	}
	if u.User != nil {
		f.fail("api.endpoint", "must not hold credentials")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" {
		f.fail("api.endpoint", "must be an http or https URL with a host")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || strings.Contains(a.Endpoint, "#") {
		f.fail("api.endpoint", "must not have anything after the host")
	}
}

func (h HTTPClient) check(f *findings) {
	const path = "api.http_client"
	if f.breaksIn(path) {
		return
	}
	proxy := promconfig.ProxyConfig{ProxyURL: h.ProxyURL, ProxyFromEnvironment: h.ProxyFromEnvironment, NoProxy: h.NoProxy}
	if err := proxy.Validate(); err != nil {
		f.fail(path, "%v", err)
	}
	if h.ProxyURL.URL != nil && h.ProxyURL.Host == "" {
		f.fail(path+".proxy_url", "must be a URL with a host")
	}
	if v := h.TLSConfig.MinVersion; v != 0 && v < tls.VersionTLS12 {
		f.fail(path+".tls_config.min_version", "must be TLS12 or TLS13")
	}
	if err := h.TLSConfig.Validate(); err != nil {
		f.fail(path+".tls_config", "%v", err)
	} else if _, err := h.Transport(true); err != nil {
		f.fail(path+".tls_config", "%v", err)
	}
}

func (a Account) check(f *findings, path string) {
	if f.breaksIn(path) {
		return
	}
	hasSecret := a.AccessKeySecret != "" || a.AccessKeySecretFile != ""
	hasToken := a.SecurityToken != "" || a.SecurityTokenFile != ""
	if a.AccessKeySecret != "" && a.AccessKeySecretFile != "" {
		f.fail(path, "only one of access_key_secret and access_key_secret_file may be given")
	}
	if a.SecurityToken != "" && a.SecurityTokenFile != "" {
		f.fail(path, "only one of security_token and security_token_file may be given")
	}
	switch {
	case a.AccessKeyID != "" && !hasSecret:
		f.fail(path+".access_key_id", "access_key_secret or access_key_secret_file is missing")
	case a.AccessKeyID == "" && (hasSecret || hasToken):
		f.fail(path+".access_key_id", "missing, but there is a secret or a token")
	}
	if a.RoleARN != "" && !strings.HasPrefix(a.RoleARN, "acs:ram::") {
		f.fail(path+".role_arn", "must begin with acs:ram::")
	}
	for name, value := range map[string]string{"external_id": a.ExternalID, "role_session_name": a.RoleSessionName} {
		if value != "" && a.RoleARN == "" {
			f.fail(path+"."+name, "needs a role_arn")
		}
	}
	checkSecretFile(f, path+".access_key_secret_file", a.AccessKeySecretFile)
	checkSecretFile(f, path+".security_token_file", a.SecurityTokenFile)
}

func checkSecretFile(f *findings, path, file string) {
	if file == "" {
		return
	}
	content, err := os.ReadFile(file)
	switch {
	case err != nil:
		f.fail(path, "%v", err)
	case strings.TrimSpace(string(content)) == "":
		f.fail(path, "%s is empty", file)
	}
}
