package simulator

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Fault answers a request instead of the API and reports whether it did. n counts the instance's requests, from 1.
type Fault func(w http.ResponseWriter, r *http.Request, n int) bool

// GatewayError answers as the gateway in front of the API does.
func GatewayError(status int, code, message string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		gatewayError(w, status, code, message)
		return true
	}
}

// Denied refuses because a RAM action is missing.
func Denied(action string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		gatewayError(w, http.StatusForbidden, "NoPermission", "You are not authorized to do this action.",
			"AccessDeniedDetail", map[string]string{"AuthAction": action, "PolicyType": "AccountLevelIdentityBasedPolicy"})
		return true
	}
}

// Of limits a fault to the requests of one operation.
func Of(action string, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		return r.Header.Get("x-acs-action") == action && f(w, r, n)
	}
}

// Throttled asks the client to retry later, after the time given if it is above 0.
func Throttled(retryAfter time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		if retryAfter > 0 {
			w.Header().Set("x-acs-retry-after", strconv.FormatInt(retryAfter.Milliseconds(), 10))
		}
		gatewayError(w, http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")
		return true
	}
}

// EnvelopeError fails with HTTP status 200 and carries Data, as the documentation's sample does.
func EnvelopeError(code, message string) Fault {
	return Raw(http.StatusOK, string(failure(code, message, []Task{{BackupTaskID: "bt-never-use-this", Status: "COMPLETED"}})))
}

// EnvelopeStatus fails with HTTP status 200 and the given status in the envelope.
func EnvelopeStatus(status int, code, message string) Fault {
	const ok = `"HttpStatusCode":200`
	return Raw(http.StatusOK, strings.Replace(string(failure(code, message, nil)), ok, fmt.Sprintf(`"HttpStatusCode":%d`, status), 1))
}

// Raw answers with a body of any kind.
func Raw(status int, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// HTML answers as a proxy does.
func HTML(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		w.Header().Set("Content-Type", "text/html")
		return Raw(status, "<html><body>"+http.StatusText(status)+"</body></html>")(w, r, n)
	}
}

// Cut answers with the beginning of a valid body and announces that length: the connection is fine, the JSON is not.
func Cut() Fault {
	body := envelope(true, "Success", "", []Task{{BackupTaskID: "bt-cut", Status: "COMPLETED"}}, 1)
	return Raw(http.StatusOK, string(body[:len(body)/2]))
}

// Huge answers with a valid body of more than n bytes.
func Huge(n int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		_, _ = w.Write([]byte(`{"Success":true,"Padding":"`))
		chunk := []byte(strings.Repeat("x", 1<<20))
		for sent := int64(0); sent < n; sent += int64(len(chunk)) {
			if _, err := w.Write(chunk); err != nil {
				return true
			}
		}
		_, _ = w.Write([]byte(`","Data":[]}`))
		return true
	}
}

// HalfAnswered breaks the connection in the middle of the body.
func HalfAnswered() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"Success":true,"Data":[`))
		_ = http.NewResponseController(w).Flush() // otherwise it breaks before the first byte
		panic(http.ErrAbortHandler)
	}
}

// Reset resets the connection without an answer.
func Reset() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		return true
	}
}

// Hang never answers.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		<-r.Context().Done()
		return true
	}
}

// Delay answers after a while.
func Delay(d time.Duration) Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
		return false
	}
}

// Redirect sends the client elsewhere.
func Redirect(to *url.URL) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
		return true
	}
}

// EndlessPages has new tasks on every page and never ends.
func EndlessPages() Fault {
	return func(w http.ResponseWriter, _ *http.Request, n int) bool {
		_, _ = w.Write(envelope(true, "Success", "", []Task{{BackupTaskID: fmt.Sprintf("bt-%d", n), Status: "COMPLETED"}}, nil))
		return true
	}
}

// First plays a fault for the first n requests only.
func First(n int, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, request int) bool {
		return request <= n && f(w, r, request)
	}
}
