"""What a VOTable says before its rows: the table, and each column."""

from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from galaxytree.tables.base import text_of

NO_XML = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
"""Characters that XML has no way to write; U+FFFD stands in their place."""

DATATYPES = {
    pa.bool_(): "boolean",
    pa.uint8(): "unsignedByte",
    pa.int16(): "short",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "unicodeChar",
}

WIDER = {pa.int8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.string()}
"""Types that VOTable doesn't have, and those that hold all their values."""

END = "</RESOURCE>\n</VOTABLE>"


def clean(text: str) -> str:
    """Return text with U+FFFD for each character that XML has no way to write."""
    cleaned: str = pc.replace_substring_regex(pa.scalar(text), NO_XML, "\ufffd").as_py()
    return cleaned


def _attributes(**said: str | None) -> str:
    return "".join(f" {name}={quoteattr(clean(text))}" for name, text in said.items() if text is not None)


def head_of(schema: pa.Schema, rows: int | None = None) -> str:
    """Return a VOTable's text, up to its rows, or with none at all.

    Parameters
    ----------
    schema
        The columns; a type that VOTable doesn't have is called text.
    rows
        How many rows follow; None for a VOTable that is whole without.
    """
    metadata = text_of(schema.metadata)
    description = escape(clean(metadata.pop("description", "")))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        '<RESOURCE type="results">',
        *(f"<INFO{_attributes(name=name, value=text)}/>" for name, text in metadata.items()),
        "<TABLE>" if rows is None else f'<TABLE nrows="{rows}">',
        *([f"<DESCRIPTION>{description}</DESCRIPTION>"] if description else []),
    ]
    for each in schema:
        said = text_of(each.metadata)
        kind, size = each.type, None
        if pa.types.is_fixed_size_list(kind):
            kind, size = kind.value_type, str(kind.list_size)
        elif pa.types.is_list(kind):
            kind, size = kind.value_type, "*"
        datatype = DATATYPES.get(WIDER.get(kind, kind), "unicodeChar")
        about = _attributes(
            name=each.name,
            datatype=datatype,
            arraysize="*" if datatype == "unicodeChar" else size,
            unit=said.get("unit"),
            ucd=said.get("ucd"),
        )
        described = escape(clean(said.get("description", "")))
        lines.append(
            f"<FIELD{about}><DESCRIPTION>{described}</DESCRIPTION></FIELD>" if described else f"<FIELD{about}/>"
        )
    return "\n".join([*lines, "</TABLE>", END, ""] if rows is None else [*lines, "<DATA>", "<TABLEDATA>", ""])
