package apiclient

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// Credential is what a request is signed with.
type Credential struct {
	AccessKeyID, AccessKeySecret, SecurityToken string
}

// String keeps the secrets out of every log and error.
func (c Credential) String() string { return "<secret>" }

// GoString does the same for %#v.
func (c Credential) GoString() string { return c.String() }

const (
	// renewalWait is how long after a failed renewal, or after one whose credential the API rejected, the next may follow: a token
	// service must not get a request for each of ours.
	renewalWait = 30 * time.Second
	// firstWait is the same as long as there is no credential at all.
	firstWait = time.Second
	// renewalPatience is how long a request waits for a renewal while it has a credential that may still be valid.
	renewalPatience = 100 * time.Millisecond
	// rejectedPatience is how long it waits if the API has just rejected that credential. A token service often takes longer than the above.
	rejectedPatience = 2 * time.Second
)

// Credentials provides an account's current credential. It isolates the requests from the vendor's library, whose providers take no
// context, must not be called concurrently, and put secrets into their errors.
//
// A provider that has worked stays: if a renewal fails, the last credential stays in use until the API rejects it, and no other provider
// takes over.
type Credentials struct {
	build    func() (providers.CredentialsProvider, error)
	wait     time.Duration // between renewals
	onChange func(provider, before string)

	mu       sync.Mutex
	provider providers.CredentialsProvider // nil if it must be built
	name     string                        // of the provider that gave the last credential
	before   string                        // the name before that
	last     *Credential                   // the last good one, until the API rejects it
	accepted bool                          // the API accepted a credential of this provider
	running  *renewal                      // nil if none is under way; its result counts only while it is this
	rebuilt  time.Time                     // when a rejection last started from the source at once
	next     time.Time                     // no renewal before, by the clock of this machine
	err      error                         // of the last renewal
	busy     chan struct{}                 // closed when the last call of the library has ended; nil before the first
}

// renewal is one call of the library.
type renewal struct {
	began time.Time
	done  chan struct{}
}

// NewCredentials returns the credentials of a source. It reads nothing before the first Get. It calls onChange when another provider than
// before gives the credential; before is empty at first.
func NewCredentials(s CredentialSource, onChange func(provider, before string)) *Credentials {
	c := &Credentials{build: s.provider, wait: renewalWait, onChange: onChange}
	if s.local() {
		c.wait = 0
	}
	return c
}

// Get returns the current credential, which it renews when necessary. It returns when ctx ends, even if the library does not.
func (c *Credentials) Get(ctx context.Context) (Credential, error) {
	return c.get(ctx, renewalPatience)
}

// Fresh is Get for a request whose credential the API has just rejected: it waits longer for the next one.
func (c *Credentials) Fresh(ctx context.Context) (Credential, error) {
	return c.get(ctx, rejectedPatience)
}

func (c *Credentials) get(ctx context.Context, atMost time.Duration) (Credential, error) {
	c.mu.Lock()
	if c.running == nil && !time.Now().Before(c.next) {
		c.running = &renewal{began: time.Now(), done: make(chan struct{})}
		go c.renew(c.running, c.provider, c.busy)
		c.busy = c.running.done
	}
	running, last := c.running, c.last
	if running == nil {
		defer c.mu.Unlock()
		return c.current()
	}
	c.mu.Unlock()

	var patience <-chan time.Time
	if last != nil {
		patience = time.After(max(0, atMost-time.Since(running.began)))
	}
	select {
	case <-ctx.Done():
		return Credential{}, ctx.Err()
	case <-running.done:
	case <-patience:
		return *last, nil
	}
	c.mu.Lock()
	current, err := c.current()
	c.mu.Unlock()
	if current == (Credential{}) && err == nil {
		return c.get(ctx, atMost) // a rejection superseded the renewal
	}
	return current, err
}

// current returns the last good credential, or why there is none. The caller holds the lock.
func (c *Credentials) current() (Credential, error) {
	if c.last != nil {
		return *c.last, nil
	}
	return Credential{}, c.err
}

// renew calls the library, after the call before it has ended: providers must not be called concurrently.
func (c *Credentials) renew(r *renewal, provider providers.CredentialsProvider, busy chan struct{}) {
	defer close(r.done)
	if busy != nil {
		<-busy
	}
	got, name, err := fetch(&provider, c.build)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != r {
		return // the credential was rejected meanwhile, and the provider may give it again
	}
	c.running = nil
	if err != nil {
		c.err, c.next = redact(err), time.Now().Add(c.wait)
		if c.last == nil { // nothing has worked yet, or the API rejected it: start from the source
			c.provider, c.next = nil, time.Now().Add(min(c.wait, firstWait))
		}
		return
	}
	c.provider, c.err = provider, nil
	if c.last == nil || *c.last != got {
		c.last = &got
	}
	if before := c.name; before != name {
		c.name, c.before, c.accepted = name, before, false
		c.onChange(name, before)
	}
}

// Provider returns the name of the provider that gives the credential, and of the one that did before it, if another one did since the
// start; empty before the first credential.
func (c *Credentials) Provider() (name, before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name, c.before
}

// Reread makes the next Get start from the source again. The last good credential stays in use if that fails.
func (c *Credentials) Reread() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.provider, c.running, c.next = nil, nil, time.Time{}
}

// Accept reports that the API accepted a credential.
func (c *Credentials) Accept(credential Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && *c.last == credential {
		c.accepted = true
	}
}

// Reject reports that the API rejected a credential, or denied access with it. Unless the clock or a nonce is wrong, the next Get starts
// from the source again: at once if the API accepted credentials of this provider before, else after a wait. A denial counts only for a
// provider that the API never accepted: it may be the wrong identity.
func (c *Credentials) Reject(credential Credential, failure *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rejected := failure.Reason == ReasonUnauthorized && !strings.HasPrefix(failure.Code, "InvalidTimeStamp") && failure.retry != retryBackoff
	denied := failure.Reason == ReasonForbidden && !c.accepted
	if c.last == nil || *c.last != credential || !rejected && !denied {
		return
	}
	switch {
	case c.accepted && time.Since(c.rebuilt) >= c.wait:
		c.rebuilt = time.Now()
		c.provider, c.running, c.accepted, c.next = nil, nil, false, time.Time{}
	case !time.Now().Before(c.next): // the credential stays until the source is asked again
		c.provider, c.running, c.next = nil, nil, time.Now().Add(c.wait)
	}
}

// fetch asks the provider, which it builds if there is none.
func fetch(
	provider *providers.CredentialsProvider, build func() (providers.CredentialsProvider, error),
) (got Credential, name string, err error) {
	defer func() {
		if recover() != nil { // the library dereferences fields that a token service left out
			err = errors.New("the provider panicked")
		}
	}()
	if *provider == nil {
		if *provider, err = build(); err != nil {
			return got, "", err
		}
	}
	cc, err := (*provider).GetCredentials()
	if err != nil {
		return got, "", err
	}
	got = Credential{cc.AccessKeyId, cc.AccessKeySecret, cc.SecurityToken}
	if got.AccessKeyID == "" || got.AccessKeySecret == "" {
		return got, "", errors.New("the provider gave an empty access key")
	}
	name = cc.ProviderName
	if name == "" {
		name = (*provider).GetProviderName()
	}
	return got, name, nil
}
