//! Resolve once, check, dial what was checked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::guard::{AddressClass, classify};
use super::settings::{NetSettings, canonical};
use super::upstream_proxy::UpstreamProxy;
use crate::limits::{CONNECT_ATTEMPT, THREAD_STACK_BYTES};

/// Which addresses this use of the network may reach, besides what is never allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Refuse private networks and carrier NAT as well: for whoever could not reach them without us.
    pub refuse_private: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Every address of the host is one that must not be dialled; says what it is.
    Blocked(&'static str),
    /// The name has no address.
    Unresolved,
    /// Nothing answers there.
    Unreachable(io::Error),
    /// The deadline passed.
    TimedOut,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(what) => write!(f, "the host stands for {what}, which is never dialled"),
            Self::Unresolved => f.write_str("the host name has no address"),
            Self::Unreachable(error) => error.fmt(f),
            Self::TimedOut => f.write_str("no connection in time"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Connects to `host` (canonical, no brackets) on `port` within `limit`, name resolution included.
///
/// The address that is dialled is the one that was checked. Addresses that the operator chose (`AUTHSOME_RESOLVE`)
/// are not checked; exemptions (`AUTHSOME_ALLOW_PRIVATE`) hold for either.
///
/// # Errors
/// See [`ConnectError`]. Where some addresses of a host are forbidden, only the others are tried.
pub fn connect(
    settings: &NetSettings,
    host: &str,
    port: u16,
    policy: Policy,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let until = Instant::now() + limit;
    let chosen = settings.overridden(host, port);
    let (addresses, is_chosen) = if chosen.is_empty() {
        (permitted(settings, host, &resolve(host, port, until)?, policy)?, false)
    } else {
        (chosen, true)
    };
    let stream = dial(&addresses, until)?;
    // A route can make any address local (`ip route add local`): then both ends carry it.
    let looped = !is_chosen && matches!((stream.local_addr(), stream.peer_addr()), (Ok(a), Ok(b)) if a.ip() == b.ip());
    if looped && !settings.allows(host, addresses_ip(&stream)?) {
        return Err(ConnectError::Blocked("an address of this machine"));
    }
    stream.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    Ok(stream)
}

/// Connects to a proxy that the operator named, wherever it is.
///
/// # Errors
/// All of [`ConnectError`] but `Blocked`.
pub fn connect_to_proxy(proxy: &UpstreamProxy, limit: Duration) -> Result<TcpStream, ConnectError> {
    let until = Instant::now() + limit;
    let stream = dial(&resolve(&proxy.host, proxy.port, until)?, until)?;
    stream.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    Ok(stream)
}

/// Checks a destination that somebody else will resolve and dial: its address, where it is one, and the local names.
///
/// # Errors
/// `Blocked`.
pub fn check_unresolved(settings: &NetSettings, host: &str, policy: Policy) -> Result<(), ConnectError> {
    let host = canonical(host);
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let address = if is_local { Ok(Ipv4Addr::LOCALHOST.into()) } else { host.parse() };
    match address {
        Ok(address) => permitted(settings, &host, &[SocketAddr::new(address, 0)], policy).map(drop),
        Err(_) => Ok(()),
    }
}

fn addresses_ip(stream: &TcpStream) -> Result<IpAddr, ConnectError> {
    stream.peer_addr().map(|address| address.ip()).map_err(ConnectError::Unreachable)
}

/// The addresses that may be dialled, in the resolver's order.
fn permitted(
    settings: &NetSettings,
    host: &str,
    addresses: &[SocketAddr],
    policy: Policy,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let own = own_addresses();
    let mut refused = None;
    let mut allowed = addresses.to_vec();
    allowed.retain(|address| {
        let reason = match classify(address.ip(), &own) {
            AddressClass::Public => None,
            AddressClass::Private => policy.refuse_private.then_some("an address of a private network"),
            AddressClass::Forbidden(what) => Some(what),
        };
        let reason = reason.filter(|_| !settings.allows(host, address.ip()));
        refused = refused.or(reason);
        reason.is_none()
    });
    match refused {
        Some(what) if allowed.is_empty() => Err(ConnectError::Blocked(what)),
        _ if allowed.is_empty() => Err(ConnectError::Unresolved),
        _ => Ok(allowed),
    }
}

/// Asked for at every dial: interfaces come and go, and it costs less than the dial.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces.filter_map(address).collect()
}

/// `getaddrinfo` has no deadline of its own, so it runs beside us; a late answer is dropped with its thread.
fn resolve(host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = canonical(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("resolve".to_owned())
        .stack_size(THREAD_STACK_BYTES)
        .spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            let _ = sender.send(found);
        })
        .map_err(ConnectError::Unreachable)?;
    match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(ConnectError::Unresolved),
        Err(_) => Err(ConnectError::TimedOut),
    }
}

/// Tries the addresses in order, each but the last for a short while only, so that a dead IPv6 path costs seconds.
fn dial(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Unresolved;
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectError::TimedOut);
        }
        let is_last = index + 1 == addresses.len();
        match TcpStream::connect_timeout(address, if is_last { left } else { left.min(CONNECT_ATTEMPT) }) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = ConnectError::TimedOut,
            Err(error) => last = ConnectError::Unreachable(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    }

    #[test]
    fn loopback_is_refused_however_it_is_written() {
        let (_listener, port) = listener();
        let refused = |host: &str| connect(&NetSettings::default(), host, port, Policy::default(), LIMIT);
        for host in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "::ffff:127.0.0.1", "[::1]"] {
            match refused(host) {
                // Some C libraries do not take the numeric forms at all, which is as good.
                Err(ConnectError::Blocked(_) | ConnectError::Unresolved) => {}
                other => panic!("{host}: {other:?}"),
            }
        }
        assert!(matches!(refused("127.0.0.1"), Err(ConnectError::Blocked(_))));
    }

    #[test]
    fn what_the_operator_chose_is_dialled() {
        let (listener, port) = listener();
        let mut settings = NetSettings::default();
        settings.add_overrides(&format!("api.x.test:443:127.0.0.1:{port}")).expect("parses");
        let strict = Policy { refuse_private: true };
        let stream = connect(&settings, "api.x.test", 443, strict, LIMIT).expect("connects");
        assert!(stream.nodelay().expect("a socket"));
        assert_eq!(listener.accept().expect("accepts").1, stream.local_addr().expect("bound"));
        let other = connect(&settings, "127.0.0.1", port, strict, LIMIT);
        assert!(matches!(other, Err(ConnectError::Blocked(_))), "the choice holds for its own host only");
        settings.allow("127.0.0.0/8").expect("parses");
        connect(&settings, "127.0.0.1", port, strict, LIMIT).expect("exempt");
    }

    #[test]
    fn names_that_a_proxy_resolves_are_checked_as_far_as_they_tell() {
        let check = |host: &str| check_unresolved(&NetSettings::default(), host, Policy { refuse_private: true });
        for host in ["127.0.0.1", "::1", "localhost", "a.localhost.", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1"]
        {
            assert!(matches!(check(host), Err(ConnectError::Blocked(_))), "{host}");
        }
        for host in ["api.x.test", "192.0.2.1", "notlocalhost"] {
            assert!(check(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn own_addresses_and_private_networks_follow_the_policy() {
        let settings = NetSettings::default();
        let check = |text: &str, refuse_private| {
            let address = SocketAddr::new(text.parse().expect("ip"), 443);
            permitted(&settings, "x.test", &[address], Policy { refuse_private }).map(|allowed| allowed.len())
        };
        assert!(matches!(check("10.255.255.254", false), Ok(1)));
        assert!(matches!(check("10.255.255.254", true), Err(ConnectError::Blocked(_))));
        for own in own_addresses() {
            assert!(matches!(check(&own.to_string(), false), Err(ConnectError::Blocked(_))), "{own}");
        }
    }

    #[test]
    fn forbidden_addresses_of_a_host_are_skipped_and_nothing_listening_is_unreachable() {
        let (gone, port) = listener();
        drop(gone);
        let (public, bad) = ("192.0.2.1:443".parse().expect("address"), "127.0.0.1:443".parse().expect("address"));
        let kept =
            permitted(&NetSettings::default(), "x.test", &[bad, public], Policy::default()).expect("one is left");
        assert_eq!(kept, [public]);
        let mut settings = NetSettings::default();
        settings.add_overrides(&format!("x.test:443:127.0.0.1:{port}")).expect("parses");
        let error = connect(&settings, "x.test", 443, Policy::default(), LIMIT).expect_err("nobody listens");
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    }
}
