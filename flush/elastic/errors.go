package elastic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/weirlog/weir/flush"
)

// Causes of request errors, the values of the metric's label. Statuses have status_NNN or status_Nxx.
const (
	causeCanceled    = "canceled"    // the caller's context ended
	causeTimeout     = "timeout"     // no complete answer in time
	causeRefused     = "refused"     // nobody listens
	causeReset       = "reset"       // connection broken by the other side
	causeClosed      = "closed"      // connection closed before the answer was complete
	causeUnreachable = "unreachable" // no route
	causeDNS         = "dns"         // name does not resolve
	causeTLS         = "tls"         // certificates or protocol
	causeNetwork     = "network"     // any other fault of the connection
	causeUntrusted   = "untrusted"   // an answer, but not one that says what became of the documents
	causeRedirect    = "redirect"
	causeProduct     = "product" // a server, or a version of one, that cannot be delivered to as configured
	causeEncode      = "encode"  // the request could not be made
)

// Errors of Send, wrapped in a *flush.RequestError.
var (
	// errAnswerTooLong is returned for an answer out of proportion to the request.
	errAnswerTooLong = errors.New("answer is longer than any answer to this request can be")
	// errBodyReleased is what a connection hears that still reads the body of a request that is over.
	errBodyReleased = errors.New("request is over")
)

// connectionError sorts a request that got no complete answer. ctx is the caller's.
func (s *Sink) connectionError(ctx context.Context, err error) *flush.RequestError {
	if ctx.Err() != nil {
		return &flush.RequestError{Cause: causeCanceled, Err: context.Cause(ctx)}
	}
	cause := connectionCause(err)
	return &flush.RequestError{Cause: cause, Verdict: flush.ClassifyRequest(0, cause, "", ""), Err: err}
}

func connectionCause(err error) string {
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.Is(err, errAnswerTooLong), strings.Contains(err.Error(), "malformed HTTP"):
		return causeUntrusted
	case errors.As(err, &dns) && !dns.IsTimeout:
		return causeDNS
	case isTLS(err):
		return causeTLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return causeTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return causeRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return causeReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return causeUnreachable
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "server closed"):
		return causeClosed
	}
	return causeNetwork
}

// isTLS reports a fault that trying again does not mend.
func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		header    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.Is(err, errFingerprint) || errors.Is(err, errClientCert) || errors.As(err, &verify) || errors.As(err, &header) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") ||
		strings.Contains(err.Error(), "remote error: tls:") || strings.HasPrefix(err.Error(), "tls: ")
}
