"""A name server of the tests' own: what it answers may change from one look-up to the next."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA over UDP.

    Parameters
    ----------
    names
        For each name its addresses, look-up after look-up: the last ones are given from then on. Where there are no
        look-ups the server fails on the name.
    """

    def __init__(self, names: dict[str, Sequence[Sequence[str]]]) -> None:
        self.names = names
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    def looked_up(self, name: str) -> int:
        """How often a name was looked up: each time both kinds of addresses are asked for."""
        return self.asked.count((name, "A"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        before = self.asked.count((name, kind))
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        look_ups = self.names.get(name)
        if look_ups is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif not look_ups:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            addresses = look_ups[min(before, len(look_ups) - 1)]
            fitting = [each for each in addresses if (":" in each) == (kind == "AAAA")]
            if fitting:
                response.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *fitting))
        self.transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def name_server(**names: Sequence[Sequence[str]]) -> AsyncIterator[NameServer]:
    """Have a name server listen; underscores in the names of names stand for dots."""
    server = NameServer({name.replace("_", "."): addresses for name, addresses in names.items()})
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
