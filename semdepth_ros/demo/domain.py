"""A ROS domain that no other demo or test on this machine is using."""

from __future__ import annotations

import socket

#: Claims are sockets, which the system frees with their process: claim N is this port plus N.
_FIRST_PORT = 18600

_claims: list[socket.socket] = []


def claim_domain() -> int:
    """Return a ROS_DOMAIN_ID from 1 to 100 that is this process's until it ends."""
    for domain in range(1, 101):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(('127.0.0.1', _FIRST_PORT + domain))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return domain
    raise OSError('all ROS domains from 1 to 100 are claimed by demos and tests')
