// Package config reads the exporter's configuration file strictly, and reloads it.
package config

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"git.example.com/starrocks/starrocks_backup_exporter/schedule"
)

// DefaultAccount is the account of an instance that names none.
const DefaultAccount = "default"

// defaultGrace is how long a scheduled backup may take if the file does not say.
const defaultGrace = model.Duration(2 * time.Hour)

// defaultRefreshInterval is how often a region's instances are listed if the file does not say.
const defaultRefreshInterval = model.Duration(5 * time.Minute)

const regionPlaceholder = "{region_id}"

// Config is a configuration file, defaults filled in.
type Config struct {
	API       API                `yaml:"api"`
	Backups   Backups            `yaml:"backups"`
	Policies  Policies           `yaml:"policies,omitempty"`
	Restores  Restores           `yaml:"restores,omitempty"`
	Accounts  map[string]Account `yaml:"accounts,omitempty"`
	Instances []Instance         `yaml:"instances,omitempty"`
	Discovery []Discovery        `yaml:"discovery,omitempty"`

	warnings []string
}

// Warnings returns what is probably wrong in the file, with file, line and field.
func (c *Config) Warnings() []string { return c.warnings }

// API says how to reach the API.
type API struct {
	Endpoint          string         `yaml:"endpoint"` // {region_id} is filled in
	Timeout           model.Duration `yaml:"timeout"`  // of one attempt
	MaxAttempts       int            `yaml:"max_attempts"`
	PageSize          int            `yaml:"page_size"`
	RequestsPerSecond float64        `yaml:"requests_per_second"`    // per account and region
	Concurrency       int            `yaml:"concurrency"`            // requests in flight, per account and region
	MinInterval       model.Duration `yaml:"min_interval,omitempty"` // between the reads of an instance; 0 reads it in each scrape
	HTTPClient        HTTPClient     `yaml:"http_client"`
}

// HTTPClient is the part of Prometheus' HTTP client settings that this exporter supports.
type HTTPClient struct {
	ProxyURL             promconfig.URL       `yaml:"proxy_url,omitempty"`
	ProxyFromEnvironment bool                 `yaml:"proxy_from_environment,omitempty"`
	NoProxy              string               `yaml:"no_proxy,omitempty"`
	TLSConfig            promconfig.TLSConfig `yaml:"tls_config,omitempty"`
}

// Backups is what the backups of every instance are compared with.
type Backups struct {
	MaxAge       model.Duration    `yaml:"max_age"`                // of the newest good backup
	SubtaskLimit int               `yaml:"subtask_limit"`          // tables, and databases, exported per instance
	StatusWords  map[string]string `yaml:"status_words,omitempty"` // status by word of the API; overrides what the exporter knows
	Thresholds   `yaml:",inline"`
}

// Thresholds are the limits at which conditions begin to hold. A zero value in an instance or a discovery means the value in backups.
type Thresholds struct {
	StuckAfter     model.Duration `yaml:"stuck_after,omitempty"`     // a run is stuck only after this time
	ExpiringWithin model.Duration `yaml:"expiring_within,omitempty"` // time before the last expiry
	ShrunkBelow    float64        `yaml:"shrunk_below,omitempty"`    // fraction of the largest of the last seven backups
}

// Policies says how often backup policies are read.
type Policies struct {
	RefreshInterval model.Duration `yaml:"refresh_interval"` // of an instance; 0 reads none
}

// Restores says how often the history of restores is read.
type Restores struct {
	RefreshInterval model.Duration `yaml:"refresh_interval"`  // of an instance; 0 reads none
	MaxAge          model.Duration `yaml:"max_age,omitempty"` // of the newest completed restore; 0 if any will do
}

// Account says where credentials come from. An empty one is the default credential chain.
type Account struct {
	AccessKeyID         string            `yaml:"access_key_id,omitempty"`
	AccessKeySecret     promconfig.Secret `yaml:"access_key_secret,omitempty"`
	AccessKeySecretFile string            `yaml:"access_key_secret_file,omitempty"`
	SecurityToken       promconfig.Secret `yaml:"security_token,omitempty"`
	SecurityTokenFile   string            `yaml:"security_token_file,omitempty"`
	RoleARN             string            `yaml:"role_arn,omitempty"`    // to be assumed
	ExternalID          string            `yaml:"external_id,omitempty"` // of the role's trust policy
	RoleSessionName     string            `yaml:"role_session_name,omitempty"`
}

// Instance is an instance whose backups are watched.
type Instance struct {
	InstanceID   string `yaml:"instance_id"`
	RegionID     string `yaml:"region_id"`
	Account      string `yaml:"account,omitempty"`
	Expectations `yaml:",inline"`
}

// Discovery names a region of an account. Every instance found there is watched.
type Discovery struct {
	RegionID        string            `yaml:"region_id"`
	Account         string            `yaml:"account,omitempty"`
	Tags            map[string]string `yaml:"tags,omitempty"` // an instance must carry all of them
	Exclude         Exclude           `yaml:"exclude,omitempty"`
	Expectations    `yaml:",inline"`  // of every instance found
	Listing         Listing           `yaml:"listing"`
	RefreshInterval model.Duration    `yaml:"refresh_interval"`
}

// Expectations is what the backups of an instance must meet.
type Expectations struct {
	MaxAge     model.Duration `yaml:"max_age,omitempty"` // 0 if only the schedule counts
	Schedule   string         `yaml:"schedule,omitempty"`
	TimeZone   string         `yaml:"time_zone,omitempty"` // of the schedule
	Grace      model.Duration `yaml:"grace,omitempty"`     // time from the scheduled start until the backup must have finished
	Thresholds `yaml:",inline"`

	timetable *schedule.Schedule
}

// Exclude names discovered instances that are not watched.
type Exclude struct {
	InstanceIDs []string          `yaml:"instance_ids,omitempty"`
	Tags        map[string]string `yaml:"tags,omitempty"` // an instance that carries one of them is not watched
}

// Listing says how the backups of discovered instances are read.
type Listing string

// The listings.
const (
	ListingInstance Listing = "instance" // each instance on its own
	ListingRegion   Listing = "region"   // all instances of the region at once
)

// Instance returns a discovered instance.
func (d Discovery) Instance(id string) Instance {
	return Instance{InstanceID: id, RegionID: d.RegionID, Account: d.Account, Expectations: d.Expectations}
}

// Timetable returns the parsed schedule, nil if there is none.
func (e Expectations) Timetable() *schedule.Schedule { return e.timetable }

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		API: API{
			Endpoint: "https://starrocks." + regionPlaceholder + ".aliyuncs.com", Timeout: model.Duration(10 * time.Second),
			MaxAttempts: 3, PageSize: 50, RequestsPerSecond: 20, Concurrency: 16,
		},
		Backups: Backups{
			MaxAge: model.Duration(26 * time.Hour), SubtaskLimit: 500,
			Thresholds: Thresholds{
				StuckAfter: model.Duration(4 * time.Hour), ExpiringWithin: model.Duration(24 * time.Hour), ShrunkBelow: 0.5,
			},
		},
	}
}

// String returns the configuration as YAML with secrets masked.
func (c *Config) String() string { return masked(c) }

// String returns the account as YAML with secrets masked. Without it, fmt would print them.
func (a Account) String() string { return masked(a) }

// String returns the settings as YAML with secrets and the proxy's password masked.
func (h HTTPClient) String() string { return masked(h) }

// masked returns v as YAML, the only form in which its secrets mask themselves.
func masked(v any) string {
	b, err := yaml.Marshal(v)
	if err != nil {
		return "# " + err.Error()
	}
	return string(b)
}

// URL returns the endpoint of a region.
func (a API) URL(regionID string) string {
	return strings.ReplaceAll(a.Endpoint, regionPlaceholder, regionID)
}

// Transport returns a transport with these settings. It reads CA and client certificates again when their files change. It returns an
// error if a TLS file cannot be read. Keep-alive says whether it reuses connections.
func (h HTTPClient) Transport(keepAlive bool) (http.RoundTripper, error) {
	c := promconfig.HTTPClientConfig{
		ProxyConfig: promconfig.ProxyConfig{ProxyURL: h.ProxyURL, ProxyFromEnvironment: h.ProxyFromEnvironment, NoProxy: h.NoProxy},
		TLSConfig:   h.TLSConfig,
	}
	// HTTP/1.1, as the vendor's own clients: a dead HTTP/2 connection takes all requests of a region with it.
	options := []promconfig.HTTPClientOption{promconfig.WithHTTP2Disabled(), promconfig.WithIdleConnTimeout(5 * time.Minute)}
	if !keepAlive {
		options = append(options, promconfig.WithKeepAlivesDisabled())
	}
	return promconfig.NewRoundTripperFromConfig(c, "starrocks", options...)
}

// Files returns the content of the files that a transport is made from. It returns an error if one cannot be read.
func (h HTTPClient) Files() (content []string, err error) {
	for _, file := range []string{h.TLSConfig.CAFile, h.TLSConfig.CertFile, h.TLSConfig.KeyFile} {
		if file == "" {
			content = append(content, "")
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		content = append(content, string(b))
	}
	return content, nil
}

// Secrets returns what no error may repeat: the password of the proxy, also as the request's header has it.
func (h HTTPClient) Secrets() (all []string) {
	add := func(u *url.URL) {
		if u == nil || u.User == nil {
			return
		}
		if password, set := u.User.Password(); set {
			_, encoded, _ := strings.Cut(u.User.String(), ":")
			all = append(all, encoded, url.QueryEscape(password))
			all = append(all, password, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
		}
	}
	add(h.ProxyURL.URL)
	if h.ProxyFromEnvironment {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			if u, err := url.Parse(os.Getenv(name)); err == nil {
				add(u)
			}
		}
	}
	return all
}
