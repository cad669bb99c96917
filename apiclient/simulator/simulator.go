// Package simulator plays the API of EMR Serverless StarRocks as an http.Handler: signatures, pages, filters, faults.
// It is written independently of the client, so that the two do not share a mistake.
package simulator

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Simulator is the API.
type Simulator struct {
	o        Options
	account  account
	verifier verifier

	mu       sync.Mutex
	requests map[string]int
}

type operation struct {
	action string
	answer func(call) []byte
}

// operations returns the operations by path.
func operations() map[string]operation {
	return map[string]operation{
		"/webapi/backup/manage/describe":         {"DescribeBackups", describeBackups},
		"/webapi/backupRestore/policy/describe":  {"DescribeBackupPolicies", describeBackupPolicies},
		"/webapi/operation/listOperationHistory": {"ListOperationHistory", listOperationHistory},
		"/webapi/starrocks/describeInstances":    {"DescribeInstances", describeInstances},
	}
}

// New returns an API without instances.
func New(o Options) *Simulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageCap == 0 {
		o.PageCap = 100
	}
	if o.Total == nil {
		o.Total = func(n int) any { return n }
	}
	return &Simulator{
		o: o, requests: map[string]int{},
		account:  account{instances: map[string]Instance{}, rendered: map[string]map[string][]byte{}},
		verifier: verifier{accessKeys: o.AccessKeys, tokens: o.Tokens, nonces: map[string]time.Time{}},
	}
}

// Set adds an instance, or replaces the one with the same id.
func (s *Simulator) Set(in Instance) { s.account.set(in) }

// Remove releases an instance.
func (s *Simulator) Remove(id string) { s.account.remove(id) }

// Requests returns how many requests named an instance, or how many there were in total if id is empty.
func (s *Simulator) Requests(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[id]
}

// count counts a request, and returns how many there were that named the instance; in total if id is empty.
func (s *Simulator) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[""]++
	if id != "" {
		s.requests[id]++
	}
	return s.requests[id]
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.o.Now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		gatewayError(w, http.StatusBadRequest, "InvalidParameter", "the query is malformed")
		return
	}
	query := map[string]string{}
	for name := range values {
		query[name] = values.Get(name)
	}
	id := query["InstanceId"]
	n := s.count(id)
	if s.o.Latency > 0 {
		Delay(s.o.Latency)(w, r, n)
	}
	fault := s.o.Fault
	if id != "" {
		fault = s.account.instance(id).Fault
	}
	if fault != nil && fault(w, r, n) {
		return
	}
	op, status, code, message := s.admit(r, now)
	if code != "" {
		gatewayError(w, status, code, message)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	body := op.answer(call{query: query, now: now, options: &s.o, account: &s.account})
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	before, after, _ := bytes.Cut(body, []byte(requestID)) // a rendered body must stay as it is
	_, _ = w.Write(before)
	if len(before) < len(body) {
		_, _ = fmt.Fprintf(w, "%s%0*d", requestID[:len(requestID)-requestDigits], requestDigits, n)
	}
	_, _ = w.Write(after)
}

// admit returns the operation of a request, or why it is not served; an empty code if it is.
func (s *Simulator) admit(r *http.Request, now time.Time) (op operation, status int, code, message string) {
	op, known := operations()[r.URL.Path]
	switch {
	case !known:
		return op, http.StatusNotFound, "InvalidApi.NotFound", "the path is unknown"
	case r.Method != http.MethodPost || r.Header.Get("x-acs-action") != op.action:
		return op, http.StatusNotFound, "InvalidAction.NotFound", "the action is unknown"
	case r.Header.Get("x-acs-version") != "2022-10-19":
		return op, http.StatusBadRequest, "InvalidVersion", "the version is unknown"
	case r.ContentLength != 0 || r.Header.Get("Content-Type") != "":
		return op, http.StatusBadRequest, "InvalidParameter", "the body must be empty"
	}
	status, code, message = s.verifier.verify(r, now)
	return op, status, code, message
}
