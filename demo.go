package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/recording"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// optionalInterval is how often the demo and a playback read policies and restores.
const optionalInterval = model.Duration(time.Hour)

// startDemo serves the simulated API on loopback and returns the configuration that reads it.
func startDemo() (load func() (*config.Config, error), err error) {
	const accessKeyID, accessKeySecret = "demo", "demo-secret"
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{accessKeyID: accessKeySecret}})
	c, err := overLoopback(sim)
	if err != nil {
		return nil, err
	}
	c.Policies.RefreshInterval, c.Restores = optionalInterval, config.Restores{
		RefreshInterval: optionalInterval, MaxAge: model.Duration(90 * 24 * time.Hour),
	}
	c.Accounts = map[string]config.Account{"default": {AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret}}
	for _, d := range simulator.DemoFleet() {
		sim.Set(d.Instance)
		c.Instances = append(c.Instances, config.Instance{
			InstanceID: d.InstanceID, RegionID: d.RegionID, Expectations: config.Expectations{MaxAge: model.Duration(d.MaxAge)},
		})
	}
	c.FillDefaults()
	return func() (*config.Config, error) { return c, nil }, nil
}

// startPlayback serves a recording on loopback and returns the configuration that reads it, and a clock that starts with it.
func startPlayback(directory string) (load func() (*config.Config, error), now func() time.Time, err error) {
	playback, err := recording.NewPlayback(os.DirFS(directory))
	if err != nil {
		return nil, nil, fmt.Errorf("--api.playback: %s: %w", directory, err)
	}
	c, err := overLoopback(playback)
	if err != nil {
		return nil, nil, err
	}
	c.API.RequestsPerSecond = 1e6 // as fast as it was recorded, or faster
	c.Accounts = map[string]config.Account{}
	if playback.Has("DescribeBackupPolicies") {
		c.Policies.RefreshInterval = optionalInterval
	}
	if playback.Has("ListOperationHistory") {
		c.Restores.RefreshInterval = optionalInterval
	}
	account := func(coded string) string {
		name, err := url.QueryUnescape(coded)
		if err != nil {
			name = coded
		}
		c.Accounts[name] = config.Account{AccessKeyID: coded, AccessKeySecret: "none"} // the id tells the playback whose request it is
		return name
	}
	for _, r := range playback.Instances() {
		c.Instances = append(c.Instances, config.Instance{InstanceID: r.InstanceID, RegionID: r.RegionID, Account: account(r.Account)})
	}
	listed := playback.Regions("DescribeBackups")
	for _, r := range playback.Regions("DescribeInstances") {
		d := config.Discovery{
			RegionID: r.RegionID, Account: account(r.Account), Tags: tags(r.Tag), RefreshInterval: model.Duration(24 * time.Hour),
		}
		if slices.ContainsFunc(listed, func(l recording.Recorded) bool { return l.RegionID == r.RegionID && l.Account == r.Account }) {
			d.Listing = config.ListingRegion
		}
		c.Discovery = append(c.Discovery, d)
	}
	c.FillDefaults()
	began := time.Now()
	return func() (*config.Config, error) { return c, nil }, func() time.Time { return playback.Start.Add(time.Since(began)) }, nil
}

// tags reads the API's parameter Tag.
func tags(parameter string) map[string]string {
	var all []struct{ Key, Value string }
	if json.Unmarshal([]byte(parameter), &all) != nil {
		return nil // the parameter is absent
	}
	byKey := map[string]string{}
	for _, t := range all {
		byKey[t.Key] = t.Value
	}
	return byKey
}

// overLoopback serves an API on loopback until the process ends, and returns a configuration that names it.
func overLoopback(api http.Handler) (*config.Config, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("serving an API on loopback: %w", err)
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // it ends with the process
	c := config.Default()
	c.API.Endpoint = "http://" + listener.Addr().String()
	return c, nil
}
