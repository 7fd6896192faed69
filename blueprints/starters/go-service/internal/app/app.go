// Package app is the HTTP handler of the service.
package app

import (
	"encoding/json"
	"net/http"
)

// Version is reported by GET /health.
const Version = "0.1.0"

// New returns the handler. GET /health answers while the process runs.
func New() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			respond(w, http.StatusMethodNotAllowed, map[string]string{"code": "method-not-allowed"})
			return
		}
		respond(w, http.StatusOK, map[string]string{"status": "ok", "version": Version})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusNotFound, map[string]string{"code": "not-found"})
	})
	return mux
}

func respond(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent already: a client that went away is no error of the service.
	_ = json.NewEncoder(w).Encode(body)
}
