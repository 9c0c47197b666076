package elastic_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// sign returns a certificate for names, and its key as files.
func (a *authority) sign(t *testing.T, names []string, ips ...net.IP) (tls.Certificate, string, string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, DNSNames: names, IPAddresses: ips,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyBytes, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: raw}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyBytes}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, certFile, keyFile
}

// startTLS serves one created item to everybody, with a certificate and what else its chain is to hold.
func startTLS(t *testing.T, cert tls.Certificate, also []*x509.Certificate, clients *x509.Certificate) *httptest.Server {
	t.Helper()
	for _, c := range also {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	web := httptest.NewUnstartedServer(status(200, `{"errors":false,"items":[{"create":{"_id":"0000000000c0ffee-1","status":201}}]}`))
	web.Config.ErrorLog = quiet
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients != nil {
		web.TLS.ClientCAs, web.TLS.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		web.TLS.ClientCAs.AddCert(clients)
	}
	web.StartTLS()
	t.Cleanup(web.Close)
	return web
}

var loopback = net.IPv4(127, 0, 0, 1)

// sendTo sends one document and returns the error.
func sendTo(t *testing.T, opts elastic.Options) *flush.RequestError {
	t.Helper()
	sink, err := elastic.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	outcomes, err := sink.Send(t.Context(), documents(1))
	if err == nil {
		return nil
	}
	return requestError(t, outcomes, err)
}

func TestSink_CAFingerprint(t *testing.T) {
	mine, other := newAuthority(t), newAuthority(t)
	good, _, _ := mine.sign(t, nil, loopback)
	named, _, _ := mine.sign(t, []string{"es.example.org"})
	foreign, _, _ := other.sign(t, nil, loopback)
	colons := strings.ToUpper(mine.fingerprint())
	for i := len(colons) - 2; i > 0; i -= 2 {
		colons = colons[:i] + ":" + colons[i:]
	}
	for name, tt := range map[string]struct {
		cert  tls.Certificate
		chain []*x509.Certificate
		pin   string
		ok    bool
	}{
		"signed by it":                       {good, []*x509.Certificate{mine.cert}, mine.fingerprint(), true},
		"in capitals with colons":            {good, []*x509.Certificate{mine.cert}, colons, true},
		"another one's":                      {good, []*x509.Certificate{mine.cert}, other.fingerprint(), false},
		"not sent along":                     {good, nil, mine.fingerprint(), false},
		"sent along, but signed by another":  {foreign, []*x509.Certificate{mine.cert, other.cert}, mine.fingerprint(), false},
		"signed by it for a node elsewhere":  {named, []*x509.Certificate{mine.cert}, mine.fingerprint(), false},
		"the node's own certificate, pinned": {good, nil, hex.EncodeToString(sha(good.Certificate[0])), true},
	} {
		web := startTLS(t, tt.cert, tt.chain, nil)
		e := sendTo(t, elastic.Options{Addresses: []string{web.URL}, CAFingerprint: tt.pin})
		if tt.ok && e != nil || !tt.ok && (e == nil || e.Cause != "tls" || !e.Parked()) {
			t.Errorf("%s: error is %+v", name, e)
		}
	}
}

func sha(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func TestSink_ClientCertificate(t *testing.T) {
	servers, clients := newAuthority(t), newAuthority(t)
	cert, _, _ := servers.sign(t, nil, loopback)
	_, certFile, keyFile := clients.sign(t, []string{"weir"})
	web := startTLS(t, cert, []*x509.Certificate{servers.cert}, clients.cert)
	opts := elastic.Options{Addresses: []string{web.URL}, CAFingerprint: servers.fingerprint(), ClientCertFile: certFile, ClientKeyFile: keyFile}
	if e := sendTo(t, opts); e != nil {
		t.Errorf("with a certificate: %v", e)
	}
	opts.ClientCertFile, opts.ClientKeyFile = "", ""
	if e := sendTo(t, opts); e == nil || e.Cause != "tls" && e.Cause != "reset" {
		t.Errorf("without a certificate: %+v", e) // whether the refusal or the end of the connection is seen first is a race
	}
}

// A renewed certificate that cannot be read ends in an error of TLS, not of the network.
func TestSink_ClientCertificate_Unreadable(t *testing.T) {
	servers, clients := newAuthority(t), newAuthority(t)
	cert, _, _ := servers.sign(t, nil, loopback)
	_, certFile, keyFile := clients.sign(t, []string{"weir"})
	web := startTLS(t, cert, []*x509.Certificate{servers.cert}, clients.cert)
	sink, err := elastic.New(elastic.Options{Addresses: []string{web.URL}, CAFingerprint: servers.fingerprint(), ClientCertFile: certFile, ClientKeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	outcomes, err := sink.Send(t.Context(), documents(1))
	if re := requestError(t, outcomes, err); re.Cause != "tls" || !strings.Contains(re.Error(), certFile) {
		t.Errorf("error is %+v", re)
	}
}

func TestSink_Proxy(t *testing.T) {
	const secret = "s3cret"
	var seen atomic.Pointer[http.Request]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		status(200, `{"errors":false,"items":[{"create":{"_id":"0000000000c0ffee-1","status":201}}]}`)(w, r)
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("u", secret)
	if e := sendTo(t, elastic.Options{Addresses: []string{"http://es.invalid:9200"}, ProxyURL: u.String()}); e != nil {
		t.Fatal(e)
	}
	if r := seen.Load(); r.Host != "es.invalid:9200" || r.Header.Get("Proxy-Authorization") == "" {
		t.Errorf("the proxy saw %s %v", r.Host, r.Header)
	}
	proxy.Close()
	if e := sendTo(t, elastic.Options{Addresses: []string{"http://es.invalid:9200"}, ProxyURL: u.String()}); e == nil || e.Cause != "refused" || strings.Contains(e.Error(), secret) {
		t.Errorf("without the proxy: %v", e)
	}
}

func TestParseCloudID(t *testing.T) {
	for id, want := range map[string]string{
		"logs:" + b64("eu-west-1.aws.found.io$abc$def"):             "https://abc.eu-west-1.aws.found.io:443",
		"logs:" + b64("eu-west-1.aws.found.io:9243$abc$def"):        "https://abc.eu-west-1.aws.found.io:9243",
		"logs:" + b64("eu-west-1.aws.found.io:9243$abc:9244$def:1"): "https://abc.eu-west-1.aws.found.io:9244",
		"logs:" + b64("found.io$abc"):                               "https://abc.found.io:443",
		"logs":                                                      "",
		"logs:*":                                                    "",
		"logs:" + b64("found.io"):                                   "",
		"logs:" + b64("found.io$"):                                  "",
		"logs:" + b64("$abc"):                                       "",
		"logs:" + b64("a/b@found$c"):                                "",
		"logs:" + b64("a b$c\x00"):                                  "",
		"logs:" + b64("found.io:x$c"):                               "",
	} {
		u, err := elastic.ParseCloudID(id)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is %s, want an error", id, u)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("%s is %s, %v, want %s", id, u, err, want)
		case err != nil && strings.Contains(err.Error(), "found"):
			t.Errorf("the error %q repeats the id", err)
		}
	}
	sink, err := elastic.New(elastic.Options{CloudID: "logs:" + b64("found.io$abc"), APIKey: "k"})
	if err != nil || sink.Name() != "abc.found.io:443" {
		t.Errorf("sink is %v, %v", sink, err)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
