"""Compares collections document by document, field by field, byte for byte.

The order of top-level fields is not compared: a field that an update brings back stands last. Inside
embedded documents it is.
"""
import re

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

_RAW = CodecOptions(document_class=RawBSONDocument)
# To show documents: dates outside of Python's years stay numbers.
_SHOWN = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS,
                      uuid_representation=bson.binary.UuidRepresentation.STANDARD)
_SHOWN_MAX = 10
_LONG = re.compile(r"([0-9a-f]{24})[0-9a-f]{40,}")


def raw_documents(collection):
    """{bytes of {"_id": value}: bytes of the document}."""
    found = {}
    for document in collection.with_options(codec_options=_RAW).find():
        identity = bson.encode({"_id": document["_id"]})
        assert identity not in found, f"twice in {collection.name}: {shown(identity)}"
        found[identity] = bytes(document.raw)
    return found


def shown(raw, limit=1500):
    if raw is None:
        return "(no document)"
    text = _LONG.sub(r"\1...", repr(bson.decode(raw, codec_options=_SHOWN)))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def differing_fields(left, right):
    """Names of the top-level fields whose bytes differ."""
    one, two = ({name: bson.encode({"": value}) for name, value in
                 bson.decode(raw, codec_options=_RAW).items()} for raw in (left, right))
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def _compare_collection(name, actual, expected):
    for identity in sorted(actual.keys() | expected.keys()):
        one, two = actual.get(identity), expected.get(identity)
        if one == two:
            continue
        fields = differing_fields(one, two) if one and two else []
        if one and two and not fields:
            continue
        what = "missing" if one is None else "too many" if two is None else "fields " + ", ".join(fields)
        yield (f"{name} {shown(identity)}: {what}\n    streamed {shown(one)}\n"
               f"    fresh    {shown(two)}")


def differences(actual, expected):
    """Texts, one a document that is not the same in both databases (pymongo); [] if all are."""
    found = []
    names = [set(database.list_collection_names()) for database in (actual, expected)]
    for name in sorted(names[0] | names[1]):
        found += _compare_collection(name, raw_documents(actual[name]), raw_documents(expected[name]))
    if len(found) > _SHOWN_MAX:
        found[_SHOWN_MAX:] = [f"... and {len(found) - _SHOWN_MAX} more"]
    return found
