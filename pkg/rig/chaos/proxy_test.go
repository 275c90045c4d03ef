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

// proxy is a wire between a recorder and the API server that can be cut, held, and lost. TLS goes through it untouched.
type proxy struct {
	kubeconfig string // of the API server behind the proxy
	target     string
	listener   net.Listener
	serving    sync.WaitGroup

	mu    sync.Mutex // guards what follows
	wires map[*wire]bool
	held  chan struct{} // closed: bytes flow
}

// wire is one connection's two halves.
type wire struct {
	near, far net.Conn
	lost      chan struct{} // closed: what is read goes nowhere
}

// newProxy starts a proxy in front of the cluster's API server, which ends with the test.
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
	p := &proxy{listener: listener, wires: map[*wire]bool{}, held: make(chan struct{})}
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
		w := &wire{near: near, far: far, lost: make(chan struct{})}
		p.mu.Lock()
		p.wires[w] = true
		p.mu.Unlock()
		p.serving.Go(func() { p.copy(w, w.far, w.near) })
		p.serving.Go(func() { p.copy(w, w.near, w.far) })
	}
}

// copy takes bytes along one direction until either end is closed.
func (p *proxy) copy(w *wire, to io.Writer, from io.Reader) {
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
	delete(p.wires, w)
	p.mu.Unlock()
	_, _ = w.near.Close(), w.far.Close()
}

func (p *proxy) flow() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// cut closes every connection, in the middle of whatever it carries: with a reset, or in an orderly way.
func (p *proxy) cut(reset bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		if near, ok := w.near.(*net.TCPConn); ok && reset {
			_ = near.SetLinger(0)
		}
		_, _ = w.near.Close(), w.far.Close()
		n++
	}
	return n
}

// hold stops every byte, in new connections too, until the function that it returns is called.
func (p *proxy) hold() (release func()) {
	held := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	return sync.OnceFunc(func() { close(held) })
}

// lose lets all connections stay open, and whatever they carry from now on get lost. New ones work.
func (p *proxy) lose() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		if !isClosed(w.lost) {
			close(w.lost)
			n++
		}
	}
	return n
}
