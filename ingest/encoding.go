package ingest

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// encoding is how a body is compressed.
type encoding uint8

const (
	encodingNone encoding = iota
	encodingGzip
	encodingZstd
	encodingDeflate
	encodingUnknown
)

// maxZstdWindow bounds what a zstd frame may ask for; RFC 8878 (section 3.1.1.1.2) recommends 8 MiB.
const maxZstdWindow = 8 << 20

// encodingOf reads Content-Encoding. Lists are not accepted, not even of one kind twice.
func encodingOf(value []byte) encoding {
	value, rest := cutItem(value)
	switch {
	case len(rest) > 0:
		return encodingUnknown
	case len(value) == 0 || equalFold(value, "identity"):
		return encodingNone
	case equalFold(value, "gzip") || equalFold(value, "x-gzip"):
		return encodingGzip
	case equalFold(value, "zstd"):
		return encodingZstd
	case equalFold(value, "deflate"):
		return encodingDeflate
	}
	return encodingUnknown
}

var (
	gzipReaders  sync.Pool // of *gzip.Reader
	zstdReaders  sync.Pool // of *zstd.Decoder; without concurrency they have no goroutines to end
	zlibReaders  sync.Pool // of io.ReadCloser that is a zlib.Resetter
	flateReaders sync.Pool // of io.ReadCloser that is a flate.Resetter
)

// decompress returns what body holds. The memory of the result is counted against the budget as it
// grows and never passes MaxBodyBytes, whatever the compressed bytes announce. A decompressor's own
// memory (up to a zstd window) is bounded by how many run at once.
func (s *Server) decompress(x *exchange, kind encoding, body []byte) ([]byte, *refusal) {
	s.decompressors <- struct{}{}
	defer func() { <-s.decompressors }()

	x.source.Reset(body)
	defer x.source.Reset(nil)
	from, giveBack, err := decompressor(x, kind, body)
	if err != nil {
		return nil, refuseDecompress(err)
	}
	defer giveBack()

	limit := int(s.options.MaxBodyBytes)
	for {
		if len(x.plain) == cap(x.plain) {
			var ok bool
			if x.plain, ok = x.grow(&s.budget, x.plain, min(limit+1, growth/2*max(len(body), len(x.plain)))); !ok {
				return nil, refuseBusy
			}
		}
		n, err := from.Read(x.plain[len(x.plain):cap(x.plain)])
		x.plain = x.plain[:len(x.plain)+n]
		if len(x.plain) > limit {
			return nil, refuseBody
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, refuseDecompress(err)
		}
	}
	if x.source.Len() > 0 { // deflate ends where it says; gzip and zstd have complained already
		return nil, refuseCorrupt
	}
	return x.plain, nil
}

// decompressor returns a reader of x.source, and what to call when it is done.
func decompressor(x *exchange, kind encoding, body []byte) (io.Reader, func(), error) {
	switch kind {
	case encodingGzip:
		r, ok := gzipReaders.Get().(*gzip.Reader)
		if !ok {
			r = new(gzip.Reader)
		}
		if err := r.Reset(&x.source); err != nil {
			gzipReaders.Put(r)
			return nil, nil, err
		}
		return r, func() { gzipReaders.Put(r) }, nil
	case encodingZstd:
		r, ok := zstdReaders.Get().(*zstd.Decoder)
		if !ok {
			var err error
			r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(maxZstdWindow))
			if err != nil {
				return nil, nil, err
			}
		}
		giveBack := func() {
			if r.Reset(nil) == nil {
				zstdReaders.Put(r)
			}
		}
		if err := r.Reset(&x.source); err != nil {
			giveBack()
			return nil, nil, err
		}
		return r, giveBack, nil
	}
	// "deflate" means zlib (RFC 9110, section 8.4.1.2); some clients send it bare.
	if len(body) >= 2 && body[0]&0x0F == 8 && (int(body[0])<<8|int(body[1]))%31 == 0 {
		if r, ok := zlibReaders.Get().(io.ReadCloser); ok {
			return r, func() { zlibReaders.Put(r) }, r.(zlib.Resetter).Reset(&x.source, nil)
		}
		r, err := zlib.NewReader(&x.source)
		return r, func() { zlibReaders.Put(r) }, err
	}
	r, ok := flateReaders.Get().(io.ReadCloser)
	if !ok {
		r = flate.NewReader(&x.source)
		return r, func() { flateReaders.Put(r) }, nil
	}
	return r, func() { flateReaders.Put(r) }, r.(flate.Resetter).Reset(&x.source, nil)
}

// refuseDecompress says what a decompressor's error means.
func refuseDecompress(err error) *refusal {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return refuseEncoding
	}
	return refuseCorrupt
}
