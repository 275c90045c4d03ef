// Package kube creates clients of a throwaway cluster. They have no rate
// limits, and the caller chooses their user agent.
package kube

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config reads a kubeconfig file. agent is the user agent. The API server uses
// its first word as the manager of writes that have no field manager.
func Config(kubeconfig, agent string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	config.QPS = -1
	config.UserAgent = agent
	// Warnings about deprecated fields would only mix with the progress lines.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}
