"""All cases of this folder."""

from tests.licenses.adversarial import (
    adapters,
    chains,
    data,
    documents,
    exceptions,
    hostile,
    lineage,
    names,
    paraphrase,
    parts,
    places,
    prose,
    publishers,
    served,
    tags,
    told,
)
from tests.licenses.adversarial.case import Case

CASES: tuple[Case, ...] = (
    *chains.CASES,
    *lineage.CASES,
    *told.CASES,
    *tags.CASES,
    *documents.CASES,
    *hostile.CASES,
    *prose.CASES,
    *paraphrase.CASES,
    *names.CASES,
    *places.CASES,
    *parts.CASES,
    *adapters.CASES,
    *data.CASES,
    *publishers.CASES,
    *served.CASES,
    *exceptions.CASES,
)
