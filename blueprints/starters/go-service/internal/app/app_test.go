package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/service/internal/app"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path string
		status             int
		body               string
	}{
		{"health answers with the version", http.MethodGet, "/health", http.StatusOK, `"version":"` + app.Version + `"`},
		{"health allows GET only", http.MethodPost, "/health", http.StatusMethodNotAllowed, "method-not-allowed"},
		{"an unknown path is not found", http.MethodGet, "/nothing", http.StatusNotFound, "not-found"},
	}
	for _, test := range tests {
		test := test
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := httptest.NewRecorder()
			app.New().ServeHTTP(response, httptest.NewRequest(test.method, test.path, nil))
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
				t.Errorf("got %d %s", response.Code, response.Body)
			}
		})
	}
}
