// Package kube makes clients of a cluster that is one's own: without client
// side rate limits, and introduced as whom the caller wants to be.
package kube

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config reads a kubeconfig file. The agent is the user agent, whose first
// word is what the API server takes for the manager's name of a write that
// names none.
func Config(kubeconfig, agent string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	config.QPS = -1
	config.UserAgent = agent
	// A throwaway cluster has nothing new to tell: its warnings about
	// deprecated fields would only mix with the progress lines.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}
