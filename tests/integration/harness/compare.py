"""Compares collections document by document, byte for byte."""
import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

_RAW = CodecOptions(document_class=RawBSONDocument)
# To show documents: dates outside of Python's years stay numbers.
_SHOWN = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS,
                      uuid_representation=bson.binary.UuidRepresentation.STANDARD)
_SHOWN_MAX = 10


def raw_documents(collection):
    """{bytes of {"_id": value}: bytes of the document}."""
    found = {}
    for document in collection.with_options(codec_options=_RAW).find():
        identity = bson.encode({"_id": document["_id"]})
        assert identity not in found, f"twice in {collection.name}: {shown(identity)}"
        found[identity] = bytes(document.raw)
    return found


def shown(raw, limit=1500):
    text = repr(bson.decode(raw, codec_options=_SHOWN)) if raw is not None else "(no document)"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def differing_fields(left, right):
    """Names of the top-level fields whose bytes differ."""
    one, two = ({name: bson.encode({"": value}) for name, value in
                 bson.decode(raw, codec_options=_RAW).items()} for raw in (left, right))
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name)) or [
        "(order of fields)"]


def _compare_collection(name, actual, expected):
    for identity in sorted(actual.keys() | expected.keys()):
        one, two = actual.get(identity), expected.get(identity)
        if one == two:
            continue
        what = "missing" if one is None else "too many" if two is None else (
            "fields " + ", ".join(differing_fields(one, two)))
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
