package workloadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// An API is a Workload API on a unix socket. At first it has an identity for
// nobody, and says so as SPIRE's agent does.
type API struct {
	workload.UnimplementedSpiffeWorkloadAPIServer

	// Addr is what clients are configured with.
	Addr string

	t       testing.TB
	mu      sync.Mutex
	state   *state
	changed chan struct{} // closed when state is replaced
}

type state struct {
	domain    *Domain
	path      string
	svid      *tls.Certificate
	federated []*Domain
}

// NewAPI starts a Workload API that ends with the test.
func NewAPI(t testing.TB) *API {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &API{Addr: "unix://" + path, t: t, changed: make(chan struct{})}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(ln) }) // it ends with Stop
	t.Cleanup(func() {
		server.Stop()
		done.Wait()
	})
	return a
}

// Entry gives every caller a new SVID of d, and the bundles of d and of those that
// it federates with. Calling it again rotates the SVID.
func (a *API) Entry(d *Domain, path string, federated ...*Domain) {
	a.EntryFor(time.Hour, d, path, federated...)
}

// EntryFor is Entry with an SVID that is good for ttl.
func (a *API) EntryFor(ttl time.Duration, d *Domain, path string, federated ...*Domain) {
	a.t.Helper()
	svid := d.Issue(ttl, func(c *x509.Certificate) { c.URIs = append(c.URIs, d.Root.URIs[0].JoinPath(path)) })
	a.replace(&state{domain: d, path: path, svid: svid, federated: federated})
}

// NoEntry takes the identity away from new callers.
func (a *API) NoEntry() { a.replace(nil) }

func (a *API) replace(s *state) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = s
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *API) now() (*state, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.changed
}

var errNoIdentity = status.Error(codes.PermissionDenied, "no identity issued")

// allowed refuses requests without the header that keeps browsers and proxies out.
func allowed(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	return nil
}

// stream sends what make says of each state until the client goes.
func stream[T any](a *API, s grpc.ServerStreamingServer[T], build func(*state) *T) error {
	if err := allowed(s.Context()); err != nil {
		return err
	}
	for {
		now, changed := a.now()
		if now == nil {
			return errNoIdentity
		}
		if err := s.Send(build(now)); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.Context().Done():
			return nil
		}
	}
}

// FetchX509SVID implements the Workload API.
func (a *API) FetchX509SVID(_ *workload.X509SVIDRequest, s grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	return stream(a, s, func(now *state) *workload.X509SVIDResponse {
		key, err := x509.MarshalPKCS8PrivateKey(now.svid.PrivateKey)
		if err != nil {
			a.t.Error(err)
		}
		federated := make(map[string][]byte)
		for _, d := range now.federated {
			federated["spiffe://"+d.Name] = d.Root.Raw
		}
		return &workload.X509SVIDResponse{
			Svids: []*workload.X509SVID{{
				SpiffeId: now.domain.ID(now.path), X509Svid: now.svid.Certificate[0], X509SvidKey: key, Bundle: now.domain.Root.Raw,
			}},
			FederatedBundles: federated,
		}
	})
}

// FetchJWTBundles implements the Workload API.
func (a *API) FetchJWTBundles(_ *workload.JWTBundlesRequest, s grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	return stream(a, s, func(now *state) *workload.JWTBundlesResponse {
		all := map[string][]byte{"spiffe://" + now.domain.Name: now.domain.JWKS()}
		for _, d := range now.federated {
			all["spiffe://"+d.Name] = d.JWKS()
		}
		return &workload.JWTBundlesResponse{Bundles: all}
	})
}

// FetchJWTSVID implements the Workload API.
func (a *API) FetchJWTSVID(ctx context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if err := allowed(ctx); err != nil {
		return nil, err
	}
	now, _ := a.now()
	if now == nil || req.SpiffeId != "" && req.SpiffeId != now.domain.ID(now.path) {
		return nil, errNoIdentity
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{
		SpiffeId: now.domain.ID(now.path), Svid: now.domain.JWT(now.path, req.Audience, nil),
	}}}, nil
}
