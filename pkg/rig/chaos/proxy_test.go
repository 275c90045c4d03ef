package chaos_test

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// proxy forwards TCP connections from a recorder to the API server, so that
// tests can close, block and black-hole them. It does not terminate TLS.
type proxy struct {
	kubeconfig string // path; leads to the API server through the proxy
	target     string
	listener   net.Listener
	serving    sync.WaitGroup

	mu          sync.Mutex // guards connections and held
	connections map[*connection]bool
	held        chan struct{} // closed means that bytes are forwarded
}

// connection is a client's connection to the proxy, and the proxy's to the
// server.
type connection struct {
	near, far net.Conn
	lost      chan struct{} // closed means that what is read is dropped
}

// newProxy starts a proxy for the cluster's API server. It stops when the test
// ends.
func newProxy(t *testing.T) *proxy {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, connections: map[*connection]bool{}, held: make(chan struct{})}
	close(p.held)
	for _, c := range config.Clusters {
		server, err := url.Parse(c.Server)
		if err != nil {
			t.Fatal(err)
		}
		p.target, server.Host = server.Host, listener.Addr().String()
		c.Server = server.String()
	}
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	p.serving.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut(false)
		p.serving.Wait()
	})
	return p
}

// serve accepts connections until the listener closes.
func (p *proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target) //nolint:noctx // loopback
		if err != nil {
			_ = near.Close()
			continue
		}
		w := &connection{near: near, far: far, lost: make(chan struct{})}
		p.mu.Lock()
		p.connections[w] = true
		p.mu.Unlock()
		p.serving.Go(func() { p.copy(w, w.far, w.near) })
		p.serving.Go(func() { p.copy(w, w.near, w.far) })
	}
}

// copy forwards bytes in one direction until either side closes.
func (p *proxy) copy(w *connection, to io.Writer, from io.Reader) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		<-p.flow()
		if n > 0 && !isClosed(w.lost) {
			if _, failed := to.Write(buffer[:n]); err == nil {
				err = failed
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	delete(p.connections, w)
	p.mu.Unlock()
	_, _ = w.near.Close(), w.far.Close()
}

// flow returns a channel that is closed while bytes are forwarded.
func (p *proxy) flow() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// cut closes all connections, with a TCP reset or without. It returns how many.
func (p *proxy) cut(reset bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.connections {
		if near, ok := w.near.(*net.TCPConn); ok && reset {
			_ = near.SetLinger(0)
		}
		_, _ = w.near.Close(), w.far.Close()
		n++
	}
	return n
}

// hold blocks all bytes, of new connections too, until release is called.
func (p *proxy) hold() (release func()) {
	held := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	return sync.OnceFunc(func() { close(held) })
}

// lose drops everything that open connections carry from now on, and leaves
// them open. New ones work. It returns how many there are.
func (p *proxy) lose() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.connections {
		if !isClosed(w.lost) {
			close(w.lost)
			n++
		}
	}
	return n
}
