"""Which addresses are a public server's: everything that a runner could reach beside the internet is not."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_V4_REFUSED = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier's NAT; clouds put metadata there
        "127.0.0.0/8",  # this machine
        "168.63.129.16/32",  # metadata of Azure, though the network around it is public
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, metadata of Oracle
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_V6_PUBLIC = ip_network("2000::/3")  # all that was ever given to networks of the internet
_V6_REFUSED = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64 = ip_network("64:ff9b::/96")  # how a network without IPv4 writes the addresses of servers that have nothing else


def is_public(address: str) -> bool:
    """Whether a download may go to this address (IANA's special-purpose registries, and the metadata services of clouds)."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _V4_REFUSED)
    if inside := _embedded(found):
        return is_public(str(inside))
    return found in _V6_PUBLIC and not any(found in network for network in _V6_REFUSED)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped or NAT64 address is only another writing of."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(address.packed[-4:]) if address in _NAT64 else None
