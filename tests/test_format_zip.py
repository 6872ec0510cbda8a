"""ZIP archives: what a directory may say, and how it may lie."""
import io
import struct
import zipfile

import pytest
from test_format_numpy import assert_bounded, fair_seconds

from minicnn import formats
from minicnn.errors import WeightsError
from minicnn.formats import numpy_weights, torch_file, zip_archive
from minicnn.formats.source import Source

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def source(data):
    return Source(io.BytesIO(data), "x")


def written(contents, method=STORED, **options):
    """Return the archive that Python's own writer makes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, **options) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file.getvalue()


def local(name, data):
    return b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, len(data), len(data), len(name), 0) + name + data


def record(name, at, size, packed=None, method=0, flags=0, checksum=0, extra=b"", comment=b""):
    return b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, flags, method, 0, 0, checksum, size if packed is None else packed,
                                   size, len(name), len(extra), len(comment), 0, 0, 0, at) + name + extra + comment


def end(count, size, at, comment=b""):
    return b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, min(count, 65535), min(count, 65535), size, at, len(comment)) + comment


def archive(*records, data=local(b"a", b"data"), count=None, comment=b""):
    """Return an archive of one member "a" of four bytes whose directory has any records."""
    directory = b"".join(records)
    return data + directory + end(len(records) if count is None else count, len(directory), len(data), comment)


def members(data):
    with formats.guarded("x"):
        return zip_archive.members(source(data))


A = record(b"a", 0, 4)


# --- good archives --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("force_zip64", [False, True])
def test_what_python_writes(method, force_zip64):
    contents = {"empty": b"", "a/b": b"text" * 1000, "\u00e9": bytes(range(256)), "../up": b"1", "/root": b"2", "c:\\d": b"3"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as written_to:
        written_to.comment = b"a comment"
        for name, data in contents.items():
            with written_to.open(name, "w", force_zip64=force_zip64) as member:
                member.write(data)
    found = members(file.getvalue())
    assert list(found) == list(contents)
    for name, data in contents.items():
        assert zip_archive.unpacked(source(file.getvalue()), found[name]) == data
        assert found[name].size == len(data) and found[name].deflated == (method == DEFLATED)


def test_names_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = written({"../up": b"1", str(tmp_path / "absolute"): b"2", "folder/../../up": b"3"})
    assert [zip_archive.unpacked(source(data), m) for m in members(data).values()] == [b"1", b"2", b"3"]
    assert list(tmp_path.iterdir()) == []


def test_zip64():
    def wide(*numbers, kind=1):
        return struct.pack(f"<HH{len(numbers)}Q", kind, 8 * len(numbers), *numbers)
    whole = 0xffffffff
    for entry in (record(b"a", whole, whole, extra=wide(4, 4, 0)), record(b"a", 0, whole, extra=wide(4, 4)),
                  record(b"a", 0, 4, whole, extra=wide(4)), record(b"a", whole, 4, extra=b"\7\0\2\0xx" + wide(0)),
                  record(b"a", 0, 4, extra=wide(99)), record(b"a", 0, 4, extra=b"\1\0"), record(b"a", 0, 4, extra=b"\1\0\7\0")):
        assert zip_archive.unpacked(source(archive(entry)), members(archive(entry))["a"]) == b"data"
    for entry in (record(b"a", 0, whole, extra=wide(2**63, 2**63)), record(b"a", whole, 4, extra=wide(2**64 - 1)),
                  record(b"a", 0, whole), record(b"a", 0, whole, extra=wide(4)), record(b"a", whole, 4, extra=wide(0, kind=2))):
        with pytest.raises(WeightsError):
            members(archive(entry))


def with_zip64_end(count, size, at, place=None, mark=b"PK\6\6"):
    data = local(b"a", b"data") + A
    where = len(data) if place is None else place
    return data + mark + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, at) + \
        b"PK\6\7" + struct.pack("<IQI", 0, where, 1) + end(65535, 0xffffffff, 0xffffffff)


def test_zip64_ends():
    at = len(local(b"a", b"data"))
    assert list(members(with_zip64_end(1, len(A), at))) == ["a"]
    for arguments, says in (((2**64 - 1, len(A), at), "x: its ZIP directory lists 18446744073709551615 members"),
                            ((1, 2**64 - 1, at), "x: its ZIP directory lists 1 members in 18446744073709551615 bytes"),
                            ((1, len(A), 2**64 - 1), "x: it ends at byte "), ((1, len(A), 2**63), "x: it ends at byte "),
                            ((1, len(A), at, 2**64 - 1), "x: it ends at byte "),
                            ((1, len(A), at, 0), "x: its ZIP directory cannot be found"),
                            ((1, len(A), at, None, b"PK\6\5"), "x: its ZIP directory cannot be found")):
        with pytest.raises(WeightsError) as caught:
            members(with_zip64_end(*arguments))
        assert str(caught.value).startswith(says)


# --- archives that lie ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data, says", [
    (local(b"a", b"data"), "x: it is a ZIP archive without an end"),
    (archive(A)[:-1], "x: it is a ZIP archive without an end"),
    (archive(A) + bytes(70_000), "x: it is a ZIP archive without an end"),
    (archive(A, A), "x: its ZIP directory names 'a' twice"),
    (archive(A, count=2), "x: its ZIP directory is damaged"),
    (archive(A, count=10_001), "x: its ZIP directory lists 10001 members"),
    (archive(A, count=10**6), "x: its ZIP directory lists 65535 members"),
    (archive(b"PK\1\1" + A[4:]), "x: its ZIP directory is damaged"),
    (archive(A[:40]), "x: its ZIP directory is damaged"),
    (local(b"a", b"data") + A + end(1, len(A), 10**6), "x: it ends at byte "),
    (local(b"a", b"data") + A + end(1, len(A), 2**32 - 1), "x: it ends at byte "),
    (local(b"a", b"data") + A + end(1, 2**32 - 1, 34), "x: its ZIP directory lists 1 members in 4294967295 bytes"),
    (archive(record(b"a", 0, 10**6)), "x: 'a' in it needs bytes 31 to 1000031, the file has "),
    (archive(record(b"a", 0, 2**32 - 2)), "x: 'a' in it needs bytes"),
    (archive(record(b"a", 0, 8, 4)), "x: 'a' in it has two sizes, 8 and 4"),
    (archive(record(b"a", 1, 4)), "x: 'a' in it does not begin where"),
    (archive(record(b"a", 10**6, 4)), "x: it ends at byte "),
    (archive(record(b"a", 0, 4, flags=1)), "x: 'a' in it is encrypted or packed by method 0"),
    (archive(record(b"a", 0, 4, method=12)), "x: 'a' in it is encrypted or packed by method 12"),
    (archive(record(b"\xff", 0, 4)), "x: it is damaged or cut short (UnicodeDecodeError"),
    (archive(record(b"a" * 60_000, 0, 10**6)), "x: '" + "a" * 80 + "' in it needs bytes")])
def test_directories_that_are_refused(data, says):
    with pytest.raises(WeightsError) as caught:
        members(data)
    assert str(caught.value).startswith(says) and len(str(caught.value)) < 400


def test_an_end_in_the_comment_is_the_end():
    """The last one counts, as for other programs: here it says that there are no members."""
    assert members(archive(A, comment=end(0, 0, 0))) == {}


def test_cut_short_anywhere():
    data = written({"a": b"some text", "b": b"more" * 20}, DEFLATED)
    for length in range(len(data)):
        with pytest.raises(WeightsError):
            members(data[:length])


def test_members_that_overlap():
    """Two names for the same bytes, or bytes within others, are harmless: each is read by itself."""
    data = local(b"a", b"12" + local(b"b", b"data"))
    both = archive(record(b"a", 0, len(data) - 31), record(b"b", 33, 4), record(b"c", 33, 4), data=data)
    found = members(both)
    assert zip_archive.unpacked(source(both), found["b"]) == b"data" == zip_archive.unpacked(source(both), found["c"])[:4]
    assert found["a"].offset < found["b"].offset == found["c"].offset
    # Within the directory, too: its bytes are bytes.
    inside = archive(record(b"a", 0, 40))
    assert members(inside)["a"].size == 40


# --- bombs ----------------------------------------------------------------------------------------------------------
def test_unpacking_stops_at_the_size():
    data = written({"a": bytes(50_000_000)}, DEFLATED)
    assert len(data) < 100_000
    whole = members(data)["a"]
    short = zip_archive.Member(whole.name, whole.offset, whole.packed_size, 1000, True, whole.checksum)
    assert_bounded(lambda: zip_archive.unpacked(source(data), short), "x: 'a' in it unpacks to another size than its 1000 bytes")
    with pytest.raises(WeightsError, match="unpacks to another size than its 1000000000 bytes"):
        zip_archive.unpacked(source(written({"a": b"text"}, DEFLATED)), zip_archive.Member("a", 31, 6, 10**9, True, 0))


@pytest.mark.parametrize("packed", [b"\xff" * 100, b"\6" + bytes(50), b""])
def test_damaged_deflate(packed):
    data = local(b"a", packed)
    with pytest.raises(WeightsError):
        with formats.guarded("x"):
            zip_archive.unpacked(source(data), zip_archive.Member("a", 31, len(packed), 1000, True, 0))


def test_the_checksum_of_what_is_unpacked():
    data = written({"a": b"some text"}, DEFLATED)
    member = members(data)["a"]
    wrong = zip_archive.Member("a", member.offset, member.packed_size, member.size, True, member.checksum ^ 1)
    with pytest.raises(WeightsError, match="'a' in it has another checksum than the archive says"):
        zip_archive.unpacked(source(data), wrong)


def test_the_largest_directories():
    """Ten thousand members of one byte each, names of 60,000 bytes, and extra fields of many tiny parts."""
    data = archive(*[record(b"%d" % k, 0, 4) for k in range(10_000)])
    assert_bounded(lambda: members(data), None)
    names = archive(*[record(b"%d" % k + b"a" * 60_000, 0, 4) for k in range(33)])
    assert_bounded(lambda: members(names), None)
    extras = archive(*[record(b"%d" % k, 0, 4, extra=b"\2\0\0\0" * 15_000) for k in range(4)])
    assert_bounded(lambda: members(extras), None)
    more = archive(*[record(b"%d" % k, 0, 4, comment=b"a" * 65_000) for k in range(33)])
    assert_bounded(lambda: members(more), "x: x: its ZIP directory lists 33 members in")


def test_a_million_entries():
    entry = record(b"a", 0, 4)
    data = local(b"a", b"data") + entry * 10**6
    data += b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10**6, 10**6, 10**6 * len(entry), 35) + \
        b"PK\6\7" + struct.pack("<IQI", 0, len(data), 1) + end(65535, 0xffffffff, 0xffffffff)
    file = source(data)

    def refuse():
        for reader in (torch_file, numpy_weights):
            reader.recognises(file)
            with pytest.raises(WeightsError, match="its ZIP directory lists 1000000 members in 47000000 bytes"):
                reader.read(file)
    assert fair_seconds(refuse) < 0.5


def test_is_zip():
    assert zip_archive.is_zip(source(archive(A))) and zip_archive.is_zip(source(local(b"a", b"data")))
    for data in (b"", b"PK\3\4", b"PK\5\6" + bytes(18), b"\0" + archive(A), bytes(100)):
        assert not zip_archive.is_zip(source(data))
