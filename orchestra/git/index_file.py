"""A git index as bytes: read its entries, and write it again with other stat data.

The layout is gitformat-index(5). Invariant: what comes out differs from what went in by stat data and checksum
alone. Refuses (None) whatever it does not know to be plain: version 4, entries that are skipped, assumed unchanged,
unmerged or only intended, and every extension but the cached tree and the two tables of offsets, none of which
depends on stat data.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

GITLINK = 0o160000
_HEADER = Struct(">4sII")
_BEFORE_MODE, _AFTER_MODE = Struct(">6I"), Struct(">3I")
_MODE_AT, _AFTER_AT, _OID_AT = 24, 28, 40
_MODE = Struct(">I")
_EXTENDED, _ASSUME_VALID, _STAGE, _NAME_LENGTH = 0x4000, 0x8000, 0x3000, 0x0FFF
_PLAIN_EXTENSIONS = (b"TREE", b"EOIE", b"IEOT")
_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The bytes of an index, and of each entry its offset, mode and path (bytes, relative to the worktree)."""

    data: bytes
    offsets: Sequence[int]
    modes: Sequence[int]
    paths: Sequence[bytes]
    oid_size: int

    def describes(self, number: int, stat: os.stat_result) -> bool:
        """Return True where git takes a file with this stat for the unchanged file of the entry."""
        offset = self.offsets[number]
        present = self.data[offset : offset + _MODE_AT], self.data[offset + _AFTER_AT : offset + _OID_AT]
        return present == _stat_data(stat)

    def with_stats(self, stats: Sequence[os.stat_result | None]) -> bytes:
        """The same index for files with these stats, entry by entry; None leaves an entry's stat data at zero."""
        data = bytearray(self.data)
        for offset, stat in zip(self.offsets, stats, strict=True):
            data[offset : offset + _MODE_AT], data[offset + _AFTER_AT : offset + _OID_AT] = _stat_data(stat)
        body = len(data) - self.oid_size
        if any(self.data[body:]):  # all zeros: index.skipHash
            digest = hashlib.sha1 if self.oid_size == 20 else hashlib.sha256  # noqa: PLR2004 - git's two hashes
            data[body:] = digest(memoryview(data)[:body]).digest()
        return bytes(data)


def _stat_data(stat: os.stat_result | None) -> tuple[bytes, bytes]:
    """The fields before and after the mode, as fill_stat_data() of git's read-cache.c has them: 32 bits each."""
    if stat is None:
        return bytes(_BEFORE_MODE.size), bytes(_AFTER_MODE.size)
    changed_s, changed_ns = divmod(stat.st_ctime_ns, 1_000_000_000)
    modified_s, modified_ns = divmod(stat.st_mtime_ns, 1_000_000_000)
    before = _BEFORE_MODE.pack(
        changed_s & _32, changed_ns, modified_s & _32, modified_ns, stat.st_dev & _32, stat.st_ino & _32
    )
    return before, _AFTER_MODE.pack(stat.st_uid & _32, stat.st_gid & _32, stat.st_size & _32)


def parse_index(data: bytes, oid_size: int) -> IndexFile | None:
    """Read an index whose object names have ``oid_size`` bytes; None when it is not plain, or not an index."""
    try:
        return _parse(data, oid_size)
    except (IndexError, ValueError, struct.error):  # torn, or no index at all
        return None


def _parse(data: bytes, oid_size: int) -> IndexFile | None:
    signature, version, count = _HEADER.unpack_from(data)
    if signature != b"DIRC" or version not in (2, 3):
        return None
    offsets, modes, paths = [], [], []
    offset = _HEADER.size
    for _ in range(count):
        flags_at = offset + _OID_AT + oid_size
        flags = data[flags_at] << 8 | data[flags_at + 1]
        if flags & (_EXTENDED | _ASSUME_VALID | _STAGE):
            return None
        name_at = flags_at + 2
        name_end = data.index(b"\0", name_at + (flags & _NAME_LENGTH))
        offsets.append(offset)
        modes.append(_MODE.unpack_from(data, offset + _MODE_AT)[0])
        paths.append(data[name_at:name_end])
        offset += (name_end - offset + 8) & ~7  # one to eight NULs end an entry, at a multiple of eight
    if not _only_plain_extensions(data, offset, len(data) - oid_size):
        return None
    return IndexFile(data, offsets, modes, paths, oid_size)


def _only_plain_extensions(data: bytes, offset: int, end: int) -> bool:
    while offset < end:
        if data[offset : offset + 4] not in _PLAIN_EXTENSIONS:
            return False
        offset += 8 + _MODE.unpack_from(data, offset + 4)[0]
    return offset == end
