"""The table of contents of a ZIP archive, read from its end as the format wants it.

    local header + data, local header + data, ...      each member, found by its offset only
    central directory                                  one record a member: name, method, sizes, offset
    (zip64 end of central directory, and its locator)  the same as the next with 64-bit numbers
    end of central directory                           number of members, size and offset of the directory

A member is stored as it is (method 0) or deflated (method 8). Nothing is unpacked here beyond what the caller asks for, so
that a small archive that would unpack to terabytes costs nothing; names of members are names, never paths of files.

Each member has a checksum (CRC-32). It is compared where a deflated member is unpacked, since damage there spreads. Stored
members are read in pieces or not at all, and theirs is not looked at: a wrong number in one stays a wrong number.
"""
import zlib
from dataclasses import dataclass

from ..errors import WeightsError

MAX_MEMBERS, MAX_DIRECTORY = 10_000, 2_000_000
_END, _END64, _LOCATOR, _RECORD, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"


@dataclass(frozen=True)
class Member:
    """One file in the archive; `offset` is where its data, stored or deflated, begins."""
    name: str
    offset: int
    packed_size: int
    size: int
    deflated: bool
    checksum: int


def is_zip(source):
    """Return whether the file begins as a ZIP archive does."""
    return source.size > 22 and source.read(0, 4) == _LOCAL


def members(source):
    """Return the archive's members as a dict name -> Member. Raises WeightsError."""
    count, size, offset = _directory(source)
    if count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise WeightsError(f"its ZIP directory lists {count} members in {size} bytes; no file of weights needs that")
    found, end = {}, offset + size
    for _ in range(count):
        member, offset = _record(source, offset, end)
        if member.name in found:
            raise WeightsError(f"its ZIP directory names {member.name[:80]!r} twice; it is damaged")
        found[member.name] = member
    return found


def unpacked(source, member):
    """Return all bytes of a member, which the caller has found small enough."""
    data = source.read(member.offset, member.packed_size)
    if not member.deflated:
        return data
    unpacker = zlib.decompressobj(-15)
    data = unpacker.decompress(data, member.size + 1)
    if len(data) != member.size or unpacker.unused_data:
        raise WeightsError(f"{member.name[:80]!r} in it unpacks to another size than its {member.size} bytes; it is damaged")
    if zlib.crc32(data) != member.checksum:
        raise WeightsError(f"{member.name[:80]!r} in it has another checksum than the archive says; it is damaged, get it again")
    return data


def _directory(source):
    """Return (number of members, size, offset) of the central directory."""
    tail_at = max(0, source.size - 65_557)          # the end record may be followed by a comment of 65,535 bytes
    tail = source.read(tail_at, source.size - tail_at)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise WeightsError("it is a ZIP archive without an end; it is cut short, get it again")
    at += tail_at
    count, size, offset = source.unpack("<HII", at + 10)
    if at >= 20 and source.read(at - 20, 4) == _LOCATOR:
        at, = source.unpack("<Q", at - 12)
        if source.read(at, 4) != _END64:
            raise WeightsError("its ZIP directory cannot be found; it is damaged, get it again")
        count, size, offset = source.unpack("<QQQ", at + 32)
    return count, size, offset


def _record(source, offset, end):
    """Return (Member, offset of the next record) of the central directory's record at `offset`."""
    if source.read(offset, 4) != _RECORD or offset + 46 > end:
        raise WeightsError("its ZIP directory is damaged; get it again")
    flags, method = source.unpack("<HH", offset + 8)
    checksum, packed_size, size, name_size, extra_size, comment_size = source.unpack("<IIIHHH", offset + 16)
    local, = source.unpack("<I", offset + 42)
    name = source.read(offset + 46, name_size).decode("utf-8")
    extra = source.read(offset + 46 + name_size, extra_size)
    size, packed_size, local = _wide(extra, size, packed_size, local)
    if flags & 1 or method not in (0, 8):
        raise WeightsError(f"{name[:80]!r} in it is encrypted or packed by method {method}; expected a plain or deflated ZIP")
    if method == 0 and size != packed_size:
        raise WeightsError(f"{name[:80]!r} in it has two sizes, {size} and {packed_size}; it is damaged")
    if method == 8 and packed_size > size + size // 1000 + 100:
        raise WeightsError(f"{name[:80]!r} in it has {packed_size} bytes that unpack to {size}; packing makes nothing larger")
    if source.read(local, 4) != _LOCAL:
        raise WeightsError(f"{name[:80]!r} in it does not begin where its ZIP directory says; it is damaged")
    local_name_size, local_extra_size = source.unpack("<HH", local + 26)
    data = local + 30 + local_name_size + local_extra_size
    if data + packed_size > source.size:
        raise WeightsError(f"{name[:80]!r} in it needs bytes {data} to {data + packed_size}, the file has {source.size}; "
                           "it is cut short, get it again")
    member = Member(name, data, packed_size, size, method == 8, checksum)
    return member, offset + 46 + name_size + extra_size + comment_size


def _wide(extra, *numbers):
    """Return sizes and offset, those that are 0xffffffff taken from the zip64 field of `extra` in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = int.from_bytes(extra[at:at + 2], "little"), int.from_bytes(extra[at + 2:at + 4], "little")
        if kind == 1:
            wide = [int.from_bytes(extra[k:k + 8], "little") for k in range(at + 4, at + 4 + length - 7, 8)]
            return [wide.pop(0) if number == 0xffffffff and wide else number for number in numbers]
        at += 4 + length
    return numbers
