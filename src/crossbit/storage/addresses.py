"""Addresses of indexes on a server, as text: what needs nothing loaded."""

from __future__ import annotations

import os


def is_address(uri: str | os.PathLike[str]) -> bool:
    """Whether an index is on a server, and no file here.

    >>> is_address("milvus://localhost/photos"), is_address("run/index")
    (True, False)
    """
    return "://" in os.fspath(uri)


def of_modality(uri: str, modality: str) -> str:
    """The address of the index of one modality.

    >>> of_modality("milvus://localhost/photos?db=mine", "image")
    'milvus://localhost/photos_image?db=mine'
    """
    place, mark, options = uri.partition("?")
    return f"{place.rstrip('/')}_{modality}{mark}{options}"


def shown(uri: str) -> str:
    """An address without its user and password, as it may be printed; a path as it is.

    >>> shown("milvus://me:secret@localhost/photos?db=mine"), shown("run/index")
    ('milvus://localhost/photos?db=mine', 'run/index')
    """
    scheme, separator, place = uri.partition("://")
    return f"{scheme}://{place.rpartition('@')[2]}" if separator else uri
