package elastic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// Every cause has its faults, and the meaning that the table gives it.
func TestConnectionError_EveryCause(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	causes := map[string]struct {
		faults []error
		want   flush.Verdict
	}{
		causeTimeout: {[]error{context.DeadlineExceeded, dial(os.ErrDeadlineExceeded), &net.DNSError{IsTimeout: true}}, flush.Retry},
		causeRefused: {[]error{dial(syscall.ECONNREFUSED)}, flush.Retry},
		causeReset:   {[]error{syscall.ECONNRESET, syscall.EPIPE}, flush.Retry},
		causeClosed: {[]error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
			errors.New("http: server closed idle connection")}, flush.Retry},
		causeUnreachable: {[]error{dial(syscall.EHOSTUNREACH), dial(syscall.ENETUNREACH)}, flush.Retry},
		causeDNS:         {[]error{dial(&net.DNSError{Err: "no such host", IsNotFound: true})}, flush.Retry},
		causeTLS: {[]error{errFingerprint, fmt.Errorf("%w x: gone", errClientCert), x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}},
			x509.CertificateInvalidError{}, tls.RecordHeaderError{}, &tls.CertificateVerificationError{Err: io.EOF}, tls.AlertError(42),
			errors.New("http: server gave HTTP response to HTTPS client"), errors.New("remote error: tls: certificate required"),
			errors.New("tls: server selected unsupported protocol version 301")}, flush.Park},
		causeNetwork:   {[]error{errors.New("anything else")}, flush.Retry},
		causeUntrusted: {[]error{errAnswerTooLong, errors.New("net/http: malformed HTTP response")}, flush.Retry},
		// These come about elsewhere.
		causeProduct: {nil, flush.Park},
		causeEncode:  {nil, flush.Retry},
	}
	s := &Sink{now: time.Now}
	for cause, tt := range causes {
		if got := flush.ClassifyRequest(0, cause, "", ""); got != tt.want {
			t.Errorf("the table says %s of %s, want %s", got, cause, tt.want)
		}
		for _, err := range tt.faults {
			if e := s.connectionError(t.Context(), err); e.Cause != cause || e.Status != 0 || e.Verdict != tt.want {
				t.Errorf("%v is %+v, want %s, %s", err, e, cause, tt.want)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.EOF)
	if e := s.connectionError(ctx, context.Canceled); e.Cause != causeCanceled || e.Verdict != flush.Retry || !errors.Is(e, io.EOF) {
		t.Errorf("the caller's end is %+v", e)
	}
}

// The statuses of requests are the table's as well, and where nothing fits, a request is sent again.
func TestStatusError_EveryStatus(t *testing.T) {
	s := &Sink{now: time.Now}
	body := []byte(`{"error":{"type":"some_exception","reason":"because"}}`)
	for status := 100; status < 600; status++ {
		for _, b := range [][]byte{body, nil} {
			e := s.statusError(status, nil, b)
			if want := flush.ClassifyRequest(status, "", e.Type, "because"); e.Verdict != want || e.Status != status {
				t.Errorf("status %d is %+v, want %s", status, e, want)
			}
		}
	}
	for cause, want := range map[int]flush.Verdict{301: flush.Park, 401: flush.Park, 413: flush.Split, 429: flush.Retry, 500: flush.Retry} {
		if e := s.statusError(cause, nil, body); e.Verdict != want {
			t.Errorf("status %d is %s, want %s", cause, e.Verdict, want)
		}
	}
}
