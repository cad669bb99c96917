package apiclient

import "strings"

// Status is the state of a task or a subtask, in the exporter's own words.
type Status string

// The statuses. An unknown word of the API is StatusUnknown: never a success, never a failure.
const (
	StatusPending   Status = "pending"
	StatusRunning   Status = "running"
	StatusCompleted Status = "completed"
	StatusFailed    Status = "failed"
	StatusCanceled  Status = "canceled"
	StatusUnknown   Status = "unknown"
)

// Statuses returns every status, in the order of a task's life.
func Statuses() []Status {
	return []Status{StatusPending, StatusRunning, StatusCompleted, StatusFailed, StatusCanceled, StatusUnknown}
}

// Ended reports whether the status of a task is final.
func (s Status) Ended() bool {
	return s == StatusCompleted || s.EndedWithoutBackup()
}

// EndedWithoutBackup reports whether a task or a subtask ended and produced no backup. StarRocks reports a failed job as CANCELLED.
func (s Status) EndedWithoutBackup() bool { return s == StatusFailed || s == StatusCanceled }

// parseStatus maps a word of the API (Status of a task or a subtask) to a status. The API's list is unpublished: these are the words seen,
// those of sibling calls, and synonyms.
func parseStatus(word string) Status {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "pending", "queued", "queueing", "waiting", "created", "scheduled", "submitted":
		return StatusPending
	case "running", "snapshoting", "snapshotting", "upload_snapshot", "uploading", "save_meta", "upload_info", "processing",
		"in_progress", "executing":
		return StatusRunning
	case "completed", "complete", "success", "succeeded", "successful", "finished", "done":
		return StatusCompleted
	case "failed", "failure", "fail", "error":
		return StatusFailed
	case "canceled", "cancelled", "terminated", "aborted":
		return StatusCanceled
	default:
		return StatusUnknown
	}
}

// StatusWords maps words of the API that the exporter does not know to statuses. Keys are lower case.
type StatusWords map[string]Status

// of returns the status of a word.
func (w StatusWords) of(word string) Status {
	if s, known := w[strings.ToLower(strings.TrimSpace(word))]; known {
		return s
	}
	return parseStatus(word)
}
