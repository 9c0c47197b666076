package elastic_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// tlsTrouble is what is wrong with TLS on a new connection.
type tlsTrouble string

const (
	wrongCA        tlsTrouble = "a certificate of another authority"
	expired        tlsTrouble = "an expired certificate"
	notYetValid    tlsTrouble = "a certificate of the future"
	wrongName      tlsTrouble = "a certificate for another name"
	oldProtocol    tlsTrouble = "TLS 1.1 only"
	plainHTTP      tlsTrouble = "plain HTTP"
	handshakeStall tlsTrouble = "no word in the handshake"
	handshakeReset tlsTrouble = "reset in the handshake"
	handshakeClose tlsTrouble = "closed in the handshake"
	flippedBit     tlsTrouble = "a flipped bit, in the answer"
	flippedEarly   tlsTrouble = "a flipped bit, in the handshake"
)

// matrixCA, unlike authority, signs for the year in which bubbles live. It serves TLS as it should be, and as it should not. Made once, because keys cost time; safe for concurrent use.
type matrixCA struct {
	pem  []byte // of the one that the sink trusts
	good *tls.Config
	bad  map[tlsTrouble]*tls.Config
}

var theMatrixCA = sync.OnceValue(newMatrixCA)

// Bubbles begin in the year 2000.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func newMatrixCA() *matrixCA {
	ca, other := newSigner("matrix"), newSigner("another")
	before, after := bubbleStart.AddDate(-1, 0, 0), bubbleStart.AddDate(50, 0, 0)
	self := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2), net.IPv4(127, 0, 0, 3)}
	return &matrixCA{
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}),
		good: ca.config(self, before, after),
		bad: map[tlsTrouble]*tls.Config{
			wrongCA:     other.config(self, before, after),
			expired:     ca.config(self, before, bubbleStart.Add(-time.Hour)),
			notYetValid: ca.config(self, bubbleStart.AddDate(1, 0, 0), after),
			wrongName:   ca.config([]net.IP{net.IPv4(10, 0, 0, 1)}, before, after),
			oldProtocol: withMaxVersion(ca.config(self, before, after), tls.VersionTLS11),
		},
	}
}

func withMaxVersion(c *tls.Config, version uint16) *tls.Config {
	c.MinVersion, c.MaxVersion = version, version
	return c
}

// file writes the authority's certificate for elastic.Options.CAFile.
func (a *matrixCA) file(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, a.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve returns the server's end of a new connection.
func (a *matrixCA) serve(server net.Conn, c *client, t *trouble, address string) net.Conn {
	if t.fault.tls == "" || !t.strikes(address) {
		return tls.Server(server, a.good)
	}
	switch t.fault.tls {
	case plainHTTP:
		return server
	case handshakeStall:
		c.stalled.Store(true)
		return server
	case handshakeReset:
		c.next = &cut{does: resets}
		return server
	case handshakeClose:
		c.next = &cut{does: closes}
		return server
	case flippedBit: // the server writes 1.8 kB before its first answer
		c.flip.Store(2000)
		return tls.Server(server, a.good)
	case flippedEarly:
		c.flip.Store(200)
		return tls.Server(server, a.good)
	}
	return tls.Server(server, a.bad[t.fault.tls])
}

// signer signs certificates.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(name string) *signer {
	key := newKey()
	cert := sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: bubbleStart.AddDate(-1, 0, 0), NotAfter: bubbleStart.AddDate(50, 0, 0),
	}, nil, key, key)
	return &signer{cert, key}
}

// config is that of a server whose certificate is for addresses and a time.
func (a *signer) config(addresses []net.IP, from, to time.Time) *tls.Config {
	key := newKey()
	cert := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, IPAddresses: addresses, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key, a.key)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("make key: " + err.Error()) // only without randomness
	}
	return key
}

// sign makes a certificate; without a parent it signs itself.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		panic("sign certificate: " + err.Error()) // the templates are ours
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("read certificate: " + err.Error())
	}
	return cert
}
