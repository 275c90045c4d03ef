package kube

import (
	"net/http"
	"net/url"
)

// WithoutTLS is withoutTLS.
func WithoutTLS(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return withoutTLS(proxy)
}
