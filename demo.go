package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/common/model"

	"starrocks_backup_exporter/apiclient/simulator"
	"starrocks_backup_exporter/config"
)

// startDemo serves the simulated API on loopback and returns the configuration that reads it.
func startDemo() (load func() (*config.Config, error), err error) {
	const accessKeyID, accessKeySecret = "demo", "demo-secret"
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{accessKeyID: accessKeySecret}})
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // it ends with the process

	c := config.Default()
	c.API.Endpoint = "http://" + listener.Addr().String()
	c.Accounts = map[string]config.Account{"default": {AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret}}
	for _, d := range simulator.DemoFleet() {
		sim.Set(d.Instance)
		c.Instances = append(c.Instances, config.Instance{
			InstanceID: d.InstanceID, RegionID: d.RegionID, Account: "default", MaxAge: model.Duration(d.MaxAge),
		})
	}
	return func() (*config.Config, error) { return c, nil }, nil
}
