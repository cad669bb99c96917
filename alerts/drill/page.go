package main

import "strings"

// kind is an alert of one severity.
type kind struct{ alert, severity string }

// page is an alert of something: an instance, a region, an exporter or a fleet.
type page struct {
	kind
	subject string
}

// subject joins the cluster and what there is of the other labels that say what a page is about.
func subject(cluster string, more ...string) string {
	return strings.Trim(cluster+"/"+strings.Join(more, "/"), "/")
}
