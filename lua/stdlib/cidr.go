package stdlib

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxAddress bounds what is read as an address: netip keeps the name of a zone, whatever its length.
const maxAddress = 128

// Address reads an IP address. A v4 address in v6 form is the v4 address; a zone is left out.
func Address(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text[:min(len(text), maxAddress)])
	if err != nil || len(text) > maxAddress {
		return netip.Addr{}, fmt.Errorf("%q is no IP address", Excerpt(text))
	}
	return a.Unmap().WithZone(""), nil
}

// Network reads a network such as 10.0.0.0/8; an address alone is a network of one.
func Network(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text[:min(len(text), maxAddress)])
	if !strings.Contains(text, "/") {
		var a netip.Addr
		a, err = Address(text)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil || len(text) > maxAddress {
		return netip.Prefix{}, fmt.Errorf("%q is no network; say 10.0.0.0/8 or 2001:db8::/32", Excerpt(text))
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}
