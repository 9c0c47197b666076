package elastic

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Errors of handshakes. isTLS knows them.
var (
	errFingerprint = errors.New("no certificate that the server sent has the configured CA fingerprint")
	errClientCert  = errors.New("client certificate")
)

// ParseFingerprint reads a SHA-256 in hex digits, with or without colons.
func ParseFingerprint(text string) ([]byte, error) {
	digest, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(digest) != sha256.Size {
		return nil, errors.New("CA fingerprint is not a SHA-256: write its 64 hex digits, colons between them or not")
	}
	return digest, nil
}

// tlsConfig returns what connections to host are made with.
func (o Options) tlsConfig(host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", o.CAFile)
		}
	}
	if o.CAFingerprint != "" {
		digest, err := ParseFingerprint(o.CAFingerprint)
		if err != nil {
			return nil, err
		}
		cfg.InsecureSkipVerify = true // verifyPinned does it, with the one authority that the chain must bring along
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return verifyPinned(cs.PeerCertificates, digest, host) }
	}
	if o.ClientCertFile != "" && o.ClientKeyFile != "" {
		if _, err := o.clientCertificate(); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.clientCertificate() }
	}
	return cfg, nil
}

func (o Options) clientCertificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(o.ClientCertFile, o.ClientKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w %s with key %s: %w", errClientCert, o.ClientCertFile, o.ClientKeyFile, err)
	}
	return &cert, nil
}

// verifyPinned accepts a chain in which the certificate of the digest vouches for the first one. That the digest is somewhere
// among them would not do: an authority's certificate is public, and anybody can send it along. The host is given because the
// state of a connection does not know it when it is an IP address.
func verifyPinned(chain []*x509.Certificate, digest []byte, host string) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, cert := range chain {
		if sum := sha256.Sum256(cert.Raw); bytes.Equal(sum[:], digest) {
			roots.AddCert(cert)
			found = true
			continue
		}
		intermediates.AddCert(cert)
	}
	if !found {
		return errFingerprint
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: intermediates}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}
