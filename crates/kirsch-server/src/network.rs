//! A network of IP addresses: read from `10.0.0.0/8`, asked which addresses it holds.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Bits in front of an IPv4 address that stands in an IPv6 one, `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// An address and how many of its bits count; a single address is a network of one.
///
/// IPv4 addresses are the same whether written as such or as `::ffff:10.0.0.1`, the form they have on a
/// dual-stack socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its first address: every bit that does not count is zero.
    first: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// It is neither an address nor an address with `/` and a number of bits.
    Malformed,
    /// It names an address within a network, and so could mean either.
    Within {
        /// The network.
        network: Network,
        /// The address alone.
        address: Network,
    },
}

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differing = first.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differing = first.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether every address of `other` lies in it.
    pub(crate) fn covers(&self, other: &Network) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }

    /// The network of that many bits that an address lies in.
    fn around(address: IpAddr, bits: u8) -> Network {
        let first = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        Network { first, bits }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        let first = address.to_canonical();
        Network {
            first,
            bits: width(first),
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| NetworkError::Malformed)?;
            return Ok(address.into());
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        // Not `+8`, which a number may be.
        if !bits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NetworkError::Malformed);
        }
        let bits: u8 = bits.parse().map_err(|_| NetworkError::Malformed)?;
        if bits > width(written) {
            return Err(NetworkError::Malformed);
        }
        let (address, bits) = match written.to_canonical() {
            mapped @ IpAddr::V4(_) if written.is_ipv6() && bits >= MAPPED_BITS => {
                (mapped, bits - MAPPED_BITS)
            }
            _ => (written, bits),
        };
        let network = Network::around(address, bits);
        if network.first != address {
            return Err(NetworkError::Within {
                network,
                address: address.into(),
            });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.first) {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}/{}", self.first, self.bits)
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_covers_those_that_lie_in_it() {
        for (wide, narrow, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("::/0", "10.0.0.0/8", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ] {
            assert_eq!(
                network(wide).covers(&network(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::1", "1.2.3.4"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ] {
            let network = network(text);
            assert!(
                network.contains(inside.parse().expect("an address")),
                "{text}"
            );
            assert!(
                !network.contains(outside.parse().expect("an address")),
                "{text}"
            );
        }
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for (text, written) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1/128", "::1"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(network(text).to_string(), written);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "::/129",
            "::/256",
            "localhost",
            "10.0.0.0/255.0.0.0",
            "fe80::1%eth0",
            " 10.0.0.1",
            "010.0.0.1",
        ] {
            assert_eq!(
                text.parse::<Network>(),
                Err(NetworkError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_within_a_network_is_refused_with_both_that_it_could_mean() {
        assert_eq!(
            "10.0.0.1/8".parse::<Network>(),
            Err(NetworkError::Within {
                network: network("10.0.0.0/8"),
                address: network("10.0.0.1"),
            })
        );
    }

    proptest! {
        #[test]
        fn it_holds_the_addresses_that_begin_as_it_does(one: u128, other: u128, bits in 0..=128u8) {
            let network = Network::around(IpAddr::V6(one.into()), bits);
            let begins = (0..u32::from(bits)).all(|bit| (one ^ other) >> (127 - bit) & 1 == 0);
            // An address that stands for an IPv4 one is that one.
            let address = IpAddr::V6(other.into());
            prop_assert_eq!(network.contains(address), begins && address.to_canonical().is_ipv6());
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    }
}
