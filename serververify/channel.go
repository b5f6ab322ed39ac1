package serververify

import (
	"crypto/tls"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// A channel is what one binding ties a proof to, as this end of the connection
// sees it.
type channel struct {
	binding Binding
	digest  string // the member exporter of a proof that is bound to it
	err     error  // why there is no digest
}

// bind finds the channel of a binding. The client has to have asked for it.
func (j *judgement) bind(b Binding) error {
	i := slices.IndexFunc(j.ch.channels, func(c channel) bool { return c.binding == b })
	if i < 0 {
		return j.refuse(CodePoPFailed, "its proof: it is bound by %.40q, this channel by %s", b, names(j.ch.channels))
	}
	j.bound = j.ch.channels[i]
	if b != BindingNone && !slices.Contains(j.v.cfg.Bindings, b) {
		return j.refuse(CodePoPFailed, "its proof: it is bound by %q, and %q is asked for", b, j.v.cfg.Bindings)
	}
	if j.bound.err != nil {
		return j.refuse(CodePoPFailed, "the connection has no channel binding: %s", j.bound.err)
	}
	return nil
}

func names(channels []channel) string {
	var out []string
	for _, c := range channels {
		out = append(out, strconv.Quote(string(c.binding)))
	}
	return strings.Join(out, " or ")
}

// overTLS says what a proof can be bound to on a TLS connection.
func (ch *challenge) overTLS(cs *tls.ConnectionState) {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		ch.channels = []channel{{binding: BindingTLS, err: errors.New("it is not encrypted")}}
		return
	}
	ch.certificate = CertificateOf(cs.PeerCertificates[0])
	exporter := channel{binding: BindingTLS}
	exporter.digest, exporter.err = exporterOf(cs)
	ch.channels = []channel{exporter, {binding: BindingSPKI, digest: ch.certificate.spki()}}
}
