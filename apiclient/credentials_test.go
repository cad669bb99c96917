package apiclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// TestMain sets a proxy that refuses connections: Go reads it once in a process, and no test may reach the real token service.
func TestMain(m *testing.M) {
	if err := os.Setenv("HTTPS_PROXY", "http://user:canary-secret@127.0.0.1:1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func ignoreChange(string, string) {}

// fakeProvider is a provider of the vendor's library.
type fakeProvider struct {
	name string
	get  func() (id string, err error)
}

func (p fakeProvider) GetCredentials() (*providers.Credentials, error) {
	id, err := p.get()
	if err != nil {
		return nil, err
	}
	return &providers.Credentials{AccessKeyId: id, AccessKeySecret: "secret"}, nil
}

func (p fakeProvider) GetProviderName() string { return p.name }

func gives(id string) func() (string, error) { return func() (string, error) { return id, nil } }

func fails() (string, error) { return "", errors.New("canary-secret") }

// script makes credentials whose n-th provider is the n-th given, the last one again and again.
func script(onChange func(string, string), gets ...func() (string, error)) *Credentials {
	n := 0
	return &Credentials{wait: renewalWait, onChange: onChange, build: func() (providers.CredentialsProvider, error) {
		n++
		return fakeProvider{fmt.Sprintf("provider %d", n), gets[min(n, len(gets))-1]}, nil
	}}
}

func getID(t *testing.T, c *Credentials) string {
	t.Helper()
	got, err := c.Get(t.Context())
	if err != nil {
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("error %v", err)
		}
		return "none"
	}
	return got.AccessKeyID
}

// A source that fails at first is asked again after a second, not by each request.
func TestCredentialsAfterAFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := script(ignoreChange, func() (string, error) { calls++; return fails() }, gives("second"))
		for range 10 {
			if got := getID(t, c); got != "none" {
				t.Errorf("got %s", got)
			}
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		time.Sleep(firstWait)
		if got := getID(t, c); got != "second" {
			t.Errorf("got %s", got)
		}
	})
}

// A provider that has worked stays, however its renewals fail, and its credential serves until the API rejects it. A failing renewal
// waits between attempts and does not hold up requests.
func TestCredentialsKeepAProviderThatHasWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		var calls atomic.Int32
		var changes []string
		c := script(func(provider, before string) { changes = append(changes, before+" > "+provider) }, func() (string, error) {
			calls.Add(1)
			if !failing.Load() {
				return "first", nil
			}
			time.Sleep(5 * time.Second) // as a token service that does not answer
			return fails()
		}, gives("another identity"))
		if got := getID(t, c); got != "first" {
			t.Fatalf("got %s", got)
		}
		failing.Store(true)
		calls.Store(0)
		began := time.Now()
		for range 600 {
			if got := getID(t, c); got != "first" {
				t.Fatalf("got %s", got)
			}
			time.Sleep(time.Second)
		}
		if waited := time.Since(began) - 600*time.Second; waited > 20*renewalPatience || calls.Load() > 20 || calls.Load() < 10 {
			t.Errorf("requests waited %v, %d calls", waited, calls.Load())
		}
		if len(changes) != 1 || changes[0] != " > provider 1" {
			t.Errorf("changes %q", changes)
		}
	})
}

// A rejected credential is replaced from the source: at once if the API accepted it before, else with a wait in between.
func TestCredentialsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		c := &Credentials{wait: renewalWait, onChange: ignoreChange, build: func() (providers.CredentialsProvider, error) {
			builds++
			return fakeProvider{"role", gives(fmt.Sprint(builds))}, nil
		}}
		first, _ := c.Get(t.Context())
		c.Accept(first)
		for _, harmless := range []*Error{
			{Reason: ReasonUnauthorized, Code: "InvalidTimeStamp.Expired"},
			{
				Reason: ReasonUnauthorized, Code: "SignatureNonceUsed",
				retry: retryBackoff,
			},
			{Reason: ReasonForbidden},
			{Reason: ReasonServerError},
		} {
			c.Reject(first, harmless)
			if got := getID(t, c); got != "1" {
				t.Errorf("after %v: %s", harmless, got)
			}
		}
		rejected := &Error{Reason: ReasonUnauthorized, Code: "InvalidSecurityToken.Expired"}
		c.Reject(Credential{AccessKeyID: "another"}, rejected)
		if got := getID(t, c); got != "1" {
			t.Errorf("after another's rejection: %s", got)
		}
		c.Reject(first, rejected)
		second, _ := c.Get(t.Context())
		if second.AccessKeyID != "2" {
			t.Errorf("after the rejection: %s", second.AccessKeyID)
		}
		for range 246 {
			c.Reject(second, rejected)
			second, _ = c.Get(t.Context())
		}
		if builds != 2 {
			t.Errorf("%d builds for a credential that is never accepted", builds)
		}
		time.Sleep(renewalWait)
		if got := getID(t, c); got != "3" {
			t.Errorf("after the wait: %s", got)
		}
	})
}

// A denial of an identity that never worked examines the source again, and a change of identity is reported.
func TestCredentialsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		c := script(func(provider, before string) { changes = append(changes, before+" > "+provider) }, gives("wrong"), gives("right"))
		wrong, _ := c.Get(t.Context())
		c.Reject(wrong, &Error{Reason: ReasonForbidden})
		time.Sleep(renewalWait)
		if got := getID(t, c); got != "right" {
			t.Errorf("got %s", got)
		}
		if want := []string{" > provider 1", "provider 1 > provider 2"}; strings.Join(changes, ",") != strings.Join(want, ",") {
			t.Errorf("changes %q", changes)
		}
	})
}

func TestCredentialsGiveUpWithTheContextAndNeverRunTwice(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int32
	c := script(ignoreChange, func() (string, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-release
		return "late", nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var waiters sync.WaitGroup
	for range 8 {
		waiters.Go(func() {
			if _, err := c.Get(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
	cancel()
	waiters.Wait()
	close(release)
	if got := getID(t, c); got != "late" {
		t.Errorf("got %s", got)
	}
	if most.Load() != 1 {
		t.Errorf("%d calls of the library at once", most.Load())
	}
}

// The first provider that is configured counts, and one that is half configured is an error: never another identity.
func TestDefaultProvider(t *testing.T) {
	const ak = `{"name":"x","mode":"AK","access_key_id":"id","access_key_secret":"canary-secret"}`
	profiles := func(current string, all ...string) string {
		return fmt.Sprintf(`{"current":%q,"profiles":[%s]}`, current, strings.Join(all, ","))
	}
	mode := func(name string) string {
		return fmt.Sprintf(`{"name":"x","mode":%q,"process_command":"echo canary-secret"}`, name)
	}
	for name, c := range map[string]struct {
		env      string
		profiles string
		want     string // the provider, or a part of the error
	}{
		"nothing":                       {"", "", "ecs_ram_role"},
		"no profiles":                   {"", `{}`, "ecs_ram_role"},
		"a profile":                     {"", profiles("x", ak), "cli_profile/static_ak"},
		"a profile as installed":        {"", profiles("default", `{"name":"default","mode":"AK"}`), "ecs_ram_role"},
		"a named profile that is empty": {"", profiles("prod", `{"name":"prod","mode":"AK"}`), `CLI profile "prod"`},
		"a default profile that is named and empty": {
			"ALIBABA_CLOUD_PROFILE=default", profiles("default", `{"name":"default","mode":"AK"}`), `CLI profile "default"`,
		},
		"a token alone":        {"ALIBABA_CLOUD_SECURITY_TOKEN=canary-token", "", "ALIBABA_CLOUD_ACCESS_KEY_ID is not"},
		"a role alone":         {"ALIBABA_CLOUD_ROLE_ARN=x", "", "ALIBABA_CLOUD_ROLE_ARN is set, ALIBABA_CLOUD_OIDC_TOKEN_FILE is not"},
		"a misspelled profile": {"ALIBABA_CLOUD_PROFILE=y", profiles("x", ak), `no CLI profile "y"`},
		"no such current one":  {"", profiles("y", ak), `no CLI profile "y"`},
		"an unknown mode":      {"", profiles("x", mode("Magic")), `unknown mode "Magic"`},
		"External":             {"", profiles("x", mode("External")), "mode External, which is meant for a person at a terminal"},
		"OAuth":                {"", profiles("x", mode("OAuth")), "mode OAuth, which is meant"},
		"CloudSSO":             {"", profiles("x", mode("CloudSSO")), "mode CloudSSO, which is meant"},
		"a chain to External": {
			"", profiles("y", mode("External"), `{"name":"y","mode":"ChainableRamRoleArn","source_profile":"x"}`), "mode External",
		},
		"a chain to itself":  {"", profiles("y", `{"name":"y","mode":"ChainableRamRoleArn","source_profile":"y"}`), "its own source profile"},
		"half a profile":     {"", profiles("x", `{"name":"x","mode":"AK","access_key_id":"id"}`), "has no access key"},
		"no JSON":            {"", `{"profiles":"canary-secret"`, "not valid JSON"},
		"disabled profiles":  {"ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true", `{"profiles":"canary-secret"`, "ecs_ram_role"},
		"a file not there":   {"ALIBABA_CLOUD_CONFIG_FILE=/nowhere", "", "open /nowhere"},
		"a profile, no file": {"ALIBABA_CLOUD_PROFILE=x", "", "no file of profiles"},
		"shared file":        {"ALIBABA_CLOUD_CREDENTIALS_FILE=/nowhere", "", "profile"},
		"half an OIDC": {
			"ALIBABA_CLOUD_OIDC_PROVIDER_ARN=x", profiles("x", ak),
			"ALIBABA_CLOUD_OIDC_PROVIDER_ARN is set, ALIBABA_CLOUD_OIDC_TOKEN_FILE is not",
		},
		"a secret alone": {"ALIBABA_CLOUD_ACCESS_KEY_SECRET=canary-secret", profiles("x", ak), "ALIBABA_CLOUD_ACCESS_KEY_ID is not"},
		"an URI":         {"ALIBABA_CLOUD_CREDENTIALS_URI=http://127.0.0.1:1", "", "credential_uri"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			if variable, value, set := strings.Cut(c.env, "="); set {
				t.Setenv(variable, value)
			}
			file := filepath.Join(home, ".aliyun", "config.json")
			if c.profiles != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(c.profiles), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := ""
			p, err := defaultProvider()
			if err != nil {
				got = redact(err).Error()
			} else {
				got = p.GetProviderName()
				if got == "cli_profile" { // the others would call a service
					if cc, err := p.GetCredentials(); err == nil {
						got = cc.ProviderName
					}
				}
			}
			if !strings.Contains(got, c.want) || strings.Contains(got, "canary") {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if after, err := os.ReadFile(file); c.profiles != "" && (err != nil || string(after) != c.profiles) {
				t.Errorf("the file of profiles was changed: %s", after)
			}
		})
	}
}

func TestCredentialsReadFilesAgainAfterRejection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	c := NewCredentials(CredentialSource{AccessKeyID: "id", AccessKeySecretFile: file}, ignoreChange)
	old, err := c.Get(t.Context())
	if err != nil || old.AccessKeySecret != "old" {
		t.Fatal(old.AccessKeySecret, err)
	}
	write("\ufeffnew") // as some editors write it
	c.Reject(old, &Error{Reason: ReasonUnauthorized})
	if got, err := c.Get(t.Context()); err != nil || got.AccessKeySecret != "new" {
		t.Errorf("got %q, %v", got.AccessKeySecret, err)
	}
}

// A malformed CLI profile is quoted whole in the library's error.
func TestCredentialsErrorsHoldNoSecret(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	if err := os.MkdirAll(filepath.Join(home, ".aliyun"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".aliyun", "config.json"), []byte(`{"current":"x","profiles":"canary-secret"`),
		0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewCredentials(CredentialSource{}, ignoreChange).Get(t.Context())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// What is wrong with credentials is said in words that lead to it, and that hold no secret.
func TestCredentialsErrorsSayWhy(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("ALIBABA_CLOUD_STS_REGION", "nowhere")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("canary-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source CredentialSource
		env    []string
		want   string
	}{
		"a role": {
			CredentialSource{AccessKeyID: "canary-secret", AccessKeySecret: "canary-secret", RoleARN: "acs:ram::1:role/r"},
			nil,
			"the token service sts.nowhere.aliyuncs.com does not answer: proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused",
		},
		"half a key": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "canary-secret"},
			"ALIBABA_CLOUD_ACCESS_KEY_ID is set, ALIBABA_CLOUD_ACCESS_KEY_SECRET is not",
		},
		"no token": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token + "-none", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p", "ALIBABA_CLOUD_ROLE_ARN", "r"},
			"the OIDC token: stat " + token + "-none: no such file",
		},
		"half of OIDC": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p"},
			"ALIBABA_CLOUD_OIDC_TOKEN_FILE is set, ALIBABA_CLOUD_ROLE_ARN is not",
		},
		"OIDC": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p", "ALIBABA_CLOUD_ROLE_ARN", "r"},
			"the token service sts.nowhere.aliyuncs.com does not answer: proxyconnect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			_, err := NewCredentials(c.source, ignoreChange).Get(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// If one region rejects a credential that another accepts, requests neither go to the source each time nor lose the credential.
func TestRejectedByOneRegionAcceptedByAnother(t *testing.T) {
	calls := 0
	source := func() (string, error) {
		if calls++; calls > 1 {
			return fails()
		}
		return "id", nil
	}
	c := script(ignoreChange, source)
	c.wait = time.Hour
	for range 50 {
		credential, err := c.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Accept(credential)
		c.Reject(credential, &Error{Reason: ReasonUnauthorized, Code: "InvalidAccessKeyId.Inactive"})
	}
	if calls != 2 {
		t.Errorf("the source was asked %d times, want once and once again after the rejection", calls)
	}
}
