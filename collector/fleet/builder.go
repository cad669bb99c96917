package fleet

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/time/rate"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/recording"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// answerMemory is how many bytes of answers are in flight at most.
const answerMemory = 64 << 20

// Builder makes fleets from configurations. It keeps what outlives a reload: the request limits, credentials whose source stays the same,
// and connections as long as their settings and files stay the same.
type Builder struct {
	Recorder *recording.Recorder // of the API's answers; nil if none

	observer    apiclient.Observer
	now         func() time.Time
	shard       Shard
	logger      log.Logger
	memory      *apiclient.Memory
	transports  transports
	limiters    map[laneKey]*apiclient.Limiter
	credentials map[string]accountCredentials // by account
}

// transports are the ways to the API, and what they were made from.
type transports struct {
	settings    config.HTTPClient
	files       []string
	kept, fresh http.RoundTripper
}

type accountCredentials struct {
	source apiclient.CredentialSource
	*apiclient.Credentials
}

// NewBuilder returns a builder of fleets that read a shard. Their clients report to observer.
func NewBuilder(observer apiclient.Observer, now func() time.Time, shard Shard, logger log.Logger) *Builder {
	return &Builder{
		observer: observer, now: now, shard: shard, logger: logger, memory: apiclient.NewMemory(answerMemory),
		limiters: map[laneKey]*apiclient.Limiter{}, credentials: map[string]accountCredentials{},
	}
}

// Build makes a fleet. It reads every file again: secrets, CA and client certificates. It must not be called concurrently.
func (b *Builder) Build(c *config.Config) (*Fleet, error) {
	t, err := b.transportsFor(c.API.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("api.http_client: %w", err)
	}
	clients := clientCache{
		builder: b, config: c, transports: t, credentials: map[string]accountCredentials{},
		clients: map[laneKey]*apiclient.Client{},
	}
	f := &Fleet{
		Shard: b.shard, RequestsPerSecond: c.API.RequestsPerSecond, MinInterval: time.Duration(c.API.MinInterval),
		PageSize: c.API.PageSize, SubtaskLimit: c.Backups.SubtaskLimit,
		Credentials: map[string]Identity{}, RestoreMaxAge: time.Duration(c.Restores.MaxAge), StatusWords: c.Backups.StatusWords,
	}
	if interval := time.Duration(c.Policies.RefreshInterval); interval > 0 {
		f.Optional = append(f.Optional, ReadPolicies(interval))
	}
	if interval := time.Duration(c.Restores.RefreshInterval); interval > 0 {
		f.Optional = append(f.Optional, ReadRestores(interval), ReadCancellations(interval))
	}
	for _, i := range c.Instances {
		client, err := clients.of(i.Account, i.RegionID)
		if err != nil {
			return nil, err
		}
		f.Targets = append(f.Targets, Target{Instance: i, Lister: client, Optional: client})
	}
	for _, d := range c.Discovery {
		client, err := clients.of(d.Account, d.RegionID)
		if err != nil {
			return nil, err
		}
		f.Discoveries = append(f.Discoveries, &Discovery{
			Discovery: d, Source: regionSource{d, b.shard, client}, Lister: client, Optional: client,
		})
	}
	b.transports, b.credentials = t, clients.credentials
	for account, credentials := range b.credentials {
		f.Credentials[account] = credentials
		credentials.Reread()
	}
	return f, nil
}

// transportsFor returns the transports in use, unless their settings or a file has changed.
func (b *Builder) transportsFor(settings config.HTTPClient) (t transports, err error) {
	t.settings = settings
	if t.files, err = settings.Files(); err != nil {
		return t, err
	}
	if b.transports.kept != nil && reflect.DeepEqual(b.transports.settings, settings) && reflect.DeepEqual(b.transports.files, t.files) {
		return b.transports, nil
	}
	if t.kept, err = settings.Transport(true); err != nil {
		return t, err
	}
	t.fresh, err = settings.Transport(false)
	return t, err
}

// clientCache makes one client for each account and region, and one set of credentials for each account.
type clientCache struct {
	builder     *Builder
	config      *config.Config
	transports  transports
	credentials map[string]accountCredentials
	clients     map[laneKey]*apiclient.Client
}

func (c clientCache) of(account, regionID string) (*apiclient.Client, error) {
	k := laneKey{account, regionID}
	if client := c.clients[k]; client != nil {
		return client, nil
	}
	if _, made := c.credentials[account]; !made {
		source, kept := credentialSource(c.config.Accounts[account]), c.builder.credentials[account]
		if kept.Credentials == nil || kept.source != source {
			kept = accountCredentials{source, apiclient.NewCredentials(source, c.builder.identityChanged(account))}
		}
		c.credentials[account] = kept
	}
	client, err := c.builder.client(c.config, k, c.transports, c.credentials[account].Credentials)
	c.clients[k] = client
	return client, err
}

// identityChanged logs where an account's credentials come from.
func (b *Builder) identityChanged(account string) func(provider, before string) {
	return func(provider, before string) {
		if before == "" {
			level.Info(b.logger).Log("msg", "credentials obtained", "account", account, "provider", provider)
			return
		}
		level.Warn(b.logger).Log("msg", "credentials now come from another provider, which may see different instances",
			"account", account, "provider", provider, "previous_provider", before)
	}
}

func (b *Builder) client(c *config.Config, k laneKey, t transports, credentials *apiclient.Credentials) (*apiclient.Client, error) {
	a := c.API
	limit, burst := rate.Limit(a.RequestsPerSecond), max(1, int(a.RequestsPerSecond))
	limiter := b.limiters[k]
	if limiter == nil {
		limiter = apiclient.NewLimiter(limit, burst, a.Concurrency)
		b.limiters[k] = limiter
	}
	limiter.Set(limit, burst, a.Concurrency)
	kept, fresh := t.kept, t.fresh
	if b.Recorder != nil {
		kept, fresh = b.Recorder.Transport(k.account, kept), b.Recorder.Transport(k.account, fresh)
	}
	words := apiclient.StatusWords{}
	for word, status := range c.Backups.StatusWords {
		words[strings.ToLower(strings.TrimSpace(word))] = apiclient.Status(status)
	}
	return apiclient.New(apiclient.Options{
		Endpoint: a.URL(k.regionID), RegionID: k.regionID, Credentials: credentials, Transport: kept, FreshTransport: fresh,
		Timeout: time.Duration(a.Timeout), MaxAttempts: a.MaxAttempts, PageSize: a.PageSize, StatusWords: words, Secrets: a.HTTPClient.Secrets(),
		Limiter: limiter, Memory: b.memory, Observer: b.observer, Logger: log.With(b.logger, "account", k.account),
		Now: b.now, Nonce: rand.Text,
	})
}

func credentialSource(a config.Account) apiclient.CredentialSource {
	return apiclient.CredentialSource{
		AccessKeyID: a.AccessKeyID, AccessKeySecret: string(a.AccessKeySecret), AccessKeySecretFile: a.AccessKeySecretFile,
		SecurityToken: string(a.SecurityToken), SecurityTokenFile: a.SecurityTokenFile,
		RoleARN: a.RoleARN, ExternalID: a.ExternalID, RoleSessionName: a.RoleSessionName,
	}
}
