package clustertest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// PutEtcd writes a value into etcd without the API server. The value may be an
// object that can't be decoded, as after damage or after the loss of an
// encryption key.
func (c *Cluster) PutEtcd(ctx context.Context, key string, value []byte) error {
	return c.etcd(ctx, "/v3/kv/put", map[string][]byte{"key": []byte(key), "value": value})
}

// DeleteEtcd removes a key from etcd without the API server.
func (c *Cluster) DeleteEtcd(ctx context.Context, key string) error {
	return c.etcd(ctx, "/v3/kv/deleterange", map[string][]byte{"key": []byte(key)})
}

// etcd sends a request to etcd's JSON gateway.
func (c *Cluster) etcd(ctx context.Context, path string, body map[string][]byte) error {
	server, err := c.etcdServer()
	if err != nil {
		return err
	}
	transport, err := c.etcdTransport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("request to etcd: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("request to etcd: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("request to etcd: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("request to etcd: %s: %s", resp.Status, text)
	}
	return nil
}

// etcdTransport returns a transport with the API server's client certificate.
func (c *Cluster) etcdTransport() (*http.Transport, error) {
	pki := func(name string) string { return filepath.Join(c.Dir, "pki", name) }
	cert, err := tls.LoadX509KeyPair(pki("etcd-client.crt"), pki("etcd-client.key"))
	if err != nil {
		return nil, fmt.Errorf("read certificates of etcd: %w", err)
	}
	ca, err := os.ReadFile(pki("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read certificates of etcd: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12,
	}}, nil
}

// etcdServer returns etcd's URL, from the state file of the supervisor.
func (c *Cluster) etcdServer() (string, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, "cluster.json"))
	if err != nil {
		return "", fmt.Errorf("read cluster state: %w", err)
	}
	var state struct {
		Components []struct {
			Name string `json:"name"`
			Port int    `json:"port"`
		} `json:"components"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return "", fmt.Errorf("read cluster state: %w", err)
	}
	for _, component := range state.Components {
		if component.Name == Etcd {
			return fmt.Sprintf("https://127.0.0.1:%d", component.Port), nil
		}
	}
	return "", errors.New("find etcd: the cluster has none")
}
