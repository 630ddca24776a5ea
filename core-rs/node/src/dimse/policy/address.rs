//! Address ranges.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// An address, or all that share its first bits: `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    address: Ipv6Addr,
    /// Of the address as IPv6, where IPv4 ones are `::ffff:a.b.c.d`.
    prefix_bits: u32,
}

impl AddressRange {
    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = as_ipv6(address).to_bits() ^ self.address.to_bits();
        differing.leading_zeros() >= self.prefix_bits
    }
}

/// A text that is not an address range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddressRange(pub String);

impl std::fmt::Display for InvalidAddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is not an address or address/bits, such as 192.168.1.0/24",
            self.0
        )
    }
}

impl std::error::Error for InvalidAddressRange {}

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<AddressRange, InvalidAddressRange> {
        let invalid = || InvalidAddressRange(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits
                .trim()
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(invalid)?,
            None => most,
        };
        Ok(AddressRange {
            address: as_ipv6(address),
            prefix_bits: 128 - most + bits,
        })
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_ranges_hold_what_shares_their_bits() {
        let holds = |range: &str, address: &str| {
            range
                .parse::<AddressRange>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("192.168.1.7", "192.168.1.7") && !holds("192.168.1.7", "192.168.1.8"));
        assert!(
            holds("192.168.1.0/25", "192.168.1.127") && !holds("192.168.1.0/25", "192.168.1.128")
        );
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "fd00::1"));
        assert!(
            holds("10.0.0.0/8", "::ffff:10.1.1.1"),
            "IPv4 as a dual socket shows it"
        );
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x"] {
            assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
        }
    }
}
