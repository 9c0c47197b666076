package elastic_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A cut strikes at its byte, whatever the pieces in which a message is written, and only in the message that it is for.
func TestTap_StrikesAtItsPlace(t *testing.T) {
	const head = "POST /_bulk HTTP/1.1\r\ncontent-length: 10\r\n\r\n"
	const body = "0123456789"
	at := func(n int) func(int) int { return func(int) int { return n } }
	for _, tt := range []struct {
		name string
		cut  cut
		want int // bytes that pass
	}{
		{"before the head", cut{at: at(0)}, 0},
		{"in the head", cut{at: at(20)}, 20},
		{"before the body", cut{inBody: true, at: at(0)}, len(head)},
		{"in the body", cut{inBody: true, at: func(size int) int { return size / 2 }}, len(head) + 5},
		{"before the last byte", cut{inBody: true, at: func(size int) int { return size - 1 }}, len(head) + 9},
	} {
		for _, piece := range []int{1, 7, 1000} {
			messages := 0
			tap := tap{begin: func(byte) *cut {
				if messages++; messages == 2 {
					return &tt.cut
				}
				return nil
			}}
			all := strings.Repeat(head+body, 2)
			if got, want := passed(&tap, []byte(all), piece), len(head+body)+tt.want; got != want {
				t.Errorf("%s, in pieces of %d: %d bytes passed, want %d", tt.name, piece, got, want)
			}
		}
	}
}

// passed feeds p in pieces until a cut strikes, and says how many bytes went through.
func passed(tap *tap, p []byte, piece int) (n int) {
	for len(p) > 0 {
		for part := p[:min(piece, len(p))]; len(part) > 0; {
			m, struck := tap.pass(part)
			if n += m; struck != nil {
				return n
			}
			part = part[m:]
		}
		p = p[min(piece, len(p)):]
	}
	return n
}

// The connections in memory behave as TCP does in what the matrix relies on.
func TestLink(t *testing.T) {
	type pair struct{ a, b *end }
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, p pair)
	}{
		{"bytes come in order, more than the window holds", func(t *testing.T, p pair) {
			sent := bytes.Repeat([]byte("abcdefg"), window/3)
			go func() {
				_, _ = p.a.Write(sent) // what fails here is missing below
				_ = p.a.Close()
			}()
			if got, err := io.ReadAll(p.b); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes of %d came, %v", len(got), len(sent), err)
			}
		}},
		{"a reset is heard at both ends, and what was underway is gone", func(t *testing.T, p pair) {
			_, _ = p.a.Write([]byte("x"))
			_ = p.b.SetLinger(0)
			_ = p.b.Close()
			if _, err := p.a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if _, err := p.a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}},
		{"after an orderly end what was underway still comes", func(t *testing.T, p pair) {
			_, _ = p.a.Write([]byte("x"))
			_ = p.a.Close()
			if got, err := io.ReadAll(p.b); err != nil || string(got) != "x" {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := p.b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("write to a closed end: %v", err)
			}
		}},
		{"a deadline ends waiting, at its time", func(t *testing.T, p pair) {
			start := time.Now()
			_ = p.a.SetReadDeadline(start.Add(3 * time.Second))
			_, err := p.a.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		}},
		{"closing ends a read of the same end", func(t *testing.T, p pair) {
			time.AfterFunc(time.Second, func() { _ = p.a.Close() })
			if _, err := p.a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink()
				p := pair{&end{link: l, in: &l.down, out: &l.up}, &end{link: l, in: &l.up, out: &l.down}}
				tt.do(t, p)
				_, _ = p.a.Close(), p.b.Close()
			})
		})
	}
}
