package apiclient

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// Reread asks the source again. If that fails, the last good credential stays in use.
func TestCredentialsReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := script(ignoreChange, gives("first"), fails, gives("third"))
		if got := getID(t, c); got != "first" {
			t.Fatalf("got %s", got)
		}
		for _, want := range []string{"first", "third"} {
			c.Reread()
			if got := getID(t, c); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if name, before := c.Provider(); want == "third" && (name != "provider 3" || before != "provider 1") {
				t.Errorf("provider %q, before %q", name, before)
			}
		}
	})
}

// A renewal that starts while another one hangs waits for its end: the library must not be called concurrently.
func TestCredentialsRereadDuringARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running := 0
		slowly := func(id string) func() (string, error) {
			return func() (string, error) {
				if running++; running > 1 {
					t.Error("two calls of the library at once")
				}
				time.Sleep(time.Minute)
				running--
				return id, nil
			}
		}
		c := script(ignoreChange, slowly("old"), slowly("new"), slowly("newer"))
		for range 3 {
			go func() { _, _ = c.Get(t.Context()) }()
			time.Sleep(time.Second)
			c.Reread()
		}
		time.Sleep(3 * time.Minute)
		if got := getID(t, c); got != "newer" {
			t.Errorf("got %s", got)
		}
	})
}

// A rejection of another credential, or a denial by an API that has accepted the provider, changes nothing.
func TestCredentialsOfOthersRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := script(ignoreChange, gives("first"), gives("second"))
		first, err := c.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other := Credential{"other", "secret", ""}
		c.Accept(other) // does not vouch for this one
		c.Reject(other, &Error{Reason: ReasonUnauthorized})
		c.Reject(other, &Error{Reason: ReasonForbidden})
		time.Sleep(time.Hour)
		if got := getID(t, c); got != "first" {
			t.Errorf("another credential was rejected: got %s", got)
		}
		c.Reject(first, &Error{Reason: ReasonServerError})
		time.Sleep(time.Hour)
		if got := getID(t, c); got != "first" {
			t.Errorf("an outage is no rejection: got %s", got)
		}
		c.Accept(first)
		c.Reject(first, &Error{Reason: ReasonForbidden})
		time.Sleep(time.Hour)
		if got := getID(t, c); got != "first" {
			t.Errorf("an accepted credential was denied: got %s", got)
		}
		var none Credentials
		none.Accept(Credential{}) // nothing to accept before the first
		none.Reject(Credential{}, &Error{Reason: ReasonUnauthorized})
		if none.accepted {
			t.Error("accepted no credential")
		}
	})
}

// A credential that one of many requests saw rejected is replaced at once only if the API accepted it before.
func TestCredentialsRejectedBeforeAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		c := &Credentials{wait: renewalWait, onChange: ignoreChange, build: func() (providers.CredentialsProvider, error) {
			builds++
			return fakeProvider{"one", gives("same")}, nil
		}}
		for range 60 {
			got, err := c.Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.Reject(got, &Error{Reason: ReasonUnauthorized})
			time.Sleep(time.Second)
		}
		if builds < 2 || builds > 4 {
			t.Errorf("%d reads of the source in a minute of rejections", builds)
		}
	})
}

type oddProvider struct {
	providers.Credentials

	panics bool
}

func (p oddProvider) GetCredentials() (*providers.Credentials, error) {
	if p.panics {
		panic("canary-secret")
	}
	return &p.Credentials, nil
}

func (oddProvider) GetProviderName() string { return "outer" }

// A provider that panics or gives half a key is an error. The name is that of the provider that gave the key.
func TestCredentialsOfOddProviders(t *testing.T) {
	for name, c := range map[string]struct {
		provider oddProvider
		works    bool
		provided string
	}{
		"panics":    {oddProvider{panics: true}, false, ""},
		"no id":     {oddProvider{Credentials: providers.Credentials{AccessKeySecret: "canary-secret"}}, false, ""},
		"no secret": {oddProvider{Credentials: providers.Credentials{AccessKeyId: "id"}}, false, ""},
		"nothing":   {oddProvider{}, false, ""},
		"no name":   {oddProvider{Credentials: providers.Credentials{AccessKeyId: "id", AccessKeySecret: "s"}}, true, "outer"},
		"an inner name": {
			oddProvider{Credentials: providers.Credentials{AccessKeyId: "id", AccessKeySecret: "s", ProviderName: "outer/inner"}},
			true,
			"outer/inner",
		},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := &Credentials{onChange: ignoreChange, build: func() (providers.CredentialsProvider, error) { return c.provider, nil }}
			_, err := credentials.Get(t.Context())
			text := fmt.Sprint(err)
			if (err == nil) != c.works || strings.Contains(text, "canary") || !c.works && !strings.Contains(text, "no credentials") {
				t.Errorf("error %v", err)
			}
			if got, _ := credentials.Provider(); got != c.provided {
				t.Errorf("provider %q, want %q", got, c.provided)
			}
		})
	}
}

// What the trust policy of a role requires reaches the token service's client.
func TestCredentialSourceWithARole(t *testing.T) {
	p, err := CredentialSource{
		AccessKeyID: "id", AccessKeySecret: "s", RoleARN: "acs:ram::1:role/reader", ExternalID: "canary-id", RoleSessionName: "canary-session",
	}.provider()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", p); !strings.Contains(text, "canary-id") || !strings.Contains(text, "canary-session") {
		t.Errorf("%s", text)
	}
	if p, err := (CredentialSource{AccessKeyID: "id", AccessKeySecret: "s", RoleARN: "acs:ram::1:role/reader"}).provider(); err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

// Text of the library is left out. What remains says where to look.
func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`get credentials from 100.100.100.200 failed, canary-secret`:                     "metadata service",
		`IMDS token: canary-secret`:                                                      "metadata service",
		`{"Code":"EntityNotExist.Role","Message":"canary-secret"}`:                       "the token service says EntityNotExist.Role",
		`Post "https://sts.aliyuncs.com/?S=canary-secret": dial tcp: connection refused`: "aliyuncs.com does not answer: dial tcp",
		`canary-secret`: "its message may contain secrets",
	} {
		if got := redact(errors.New(text)).Error(); !strings.Contains(got, want) || strings.Contains(got, "canary") {
			t.Errorf("%s: %s", text, got)
		}
	}
	file := CredentialSource{AccessKeyID: "id", AccessKeySecretFile: "/nowhere/secret"}
	if _, err := file.provider(); err == nil || !strings.Contains(redact(err).Error(), "/nowhere/secret") {
		t.Errorf("%v", err)
	}
	token := CredentialSource{AccessKeyID: "id", AccessKeySecret: "s", SecurityTokenFile: "/nowhere/token"}
	if _, err := token.provider(); err == nil || !strings.Contains(redact(err).Error(), "/nowhere/token") {
		t.Errorf("%v", err)
	}
}

// A request whose credential was rejected waits for a token service that takes a moment. One that hangs ends that wait; others do not wait.
func TestRejectedCredentialWaitsForTheNext(t *testing.T) {
	for name, c := range map[string]struct {
		takes       time.Duration
		fresh       string
		least, most time.Duration
	}{
		"slow":  {500 * time.Millisecond, "new", 0, time.Second},
		"hangs": {time.Hour, "old", rejectedPatience, rejectedPatience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				credentials := script(ignoreChange, gives("old"), func() (string, error) { time.Sleep(c.takes); return "new", nil })
				old, err := credentials.Get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				credentials.Accept(old)
				credentials.Reject(old, &Error{Reason: ReasonUnauthorized})
				if got := getID(t, credentials); got != "old" {
					t.Errorf("another request got %s", got)
				}
				began := time.Now()
				client := &Client{o: Options{Credentials: credentials, Timeout: 5 * time.Second}}
				got, failure := client.credential(t.Context(), &Error{retry: retryFreshCredentials})
				waited := time.Since(began) + renewalPatience
				if failure != nil || got.AccessKeyID != c.fresh || waited < c.least || waited > c.most {
					t.Errorf("got %s after %v: %v", got.AccessKeyID, waited, failure)
				}
				time.Sleep(2 * c.takes)
			})
		})
	}
}
