"""Data: pictures whose licence, consent or source bars paid use, by a folder or by a dataset of the Hub."""

from tests.licenses.adversarial.build import FRONT, bare, files, folder, under
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.texts import APACHE, synthetic

NC = "non_commercial"
MISSING, INVALID, UNKNOWN = "dataset_license_missing", "dataset_invalid", "dataset_license_unknown"


def pictures(id: str, declared: str | bytes | None, codes: str, beside: dict[str, str | bytes] | None = None) -> Case:
    said = {} if declared is None else {"dataset.yaml": declared}
    return dirty(f"data: {id}", folder(), codes, dataset=Folder(files={**said, **(beside or {})}, name="pictures"))


def good(id: str, declared: str, duties: str = "", beside: dict[str, str | bytes] | None = None) -> Case:
    return clean(
        f"data: {id}", folder(), duties, dataset=Folder(files={"dataset.yaml": declared, **(beside or {})}, name="pictures")
    )


def hosted(id: str, codes: str, pics: Repo, **repos: Repo) -> Case:
    named = {name.replace("__", "/"): repo for name, repo in repos.items()}
    return dirty(f"data on the Hub: {id}", folder(), codes, dataset="p/pics", repos={"p/pics": pics, **named})


def data(
    front: str | None = "license: cc-by-4.0", text: str | None = synthetic("cc-by-4.0"), body: str = "Leaves.", **fields: object
) -> Repo:
    return Repo(files=bare(front or "", text, body), kind="dataset", **fields)  # type: ignore[arg-type]


FOLDERS: tuple[Case, ...] = (
    pictures("no declaration", None, MISSING),
    pictures("an empty declaration", "", MISSING),
    pictures("a declaration without a licence", "source: mine", MISSING),
    pictures("a licence that is null", "license: null", MISSING),
    pictures("non-commercial", "license: cc-by-nc-4.0", NC),
    pictures("non-commercial, share alike", "license: CC-BY-NC-SA-4.0", NC),
    pictures("an older non-commercial one", "license: cc-by-nc-2.0", NC),
    pictures("neither commerce nor derivatives", "license: cc-by-nc-nd-4.0", NC),
    pictures("no derivatives", "license: cc-by-nd-4.0", "license_unclear license_forbids no_derivatives"),
    pictures("an older one without derivatives", "license: cc-by-nd-3.0", f"{UNKNOWN} license_unclear license_forbids"),
    pictures("unknown", "license: unknown", "license_unclear"),
    pictures("other", "license: other", f"license_unclear {UNKNOWN}"),
    pictures("a family", "license: openrail", "license_unclear"),
    pictures("a licence nobody knows", "license: free for all", UNKNOWN),
    pictures("a slip of the pen", "license: cc-by-4.O", UNKNOWN),
    pictures("own with a slip of the pen", "license: owm", UNKNOWN),
    pictures("own in disguise", "license: оwn", UNKNOWN),
    pictures("a choice", "license: CC-BY-4.0 OR CC-BY-NC-4.0", UNKNOWN),
    pictures("a sum", "license: CC-BY-4.0 AND CC-BY-NC-4.0", UNKNOWN),
    pictures("a list", "license: [cc-by-4.0, cc-by-nc-4.0]", INVALID),
    pictures("a licence twice", "license: own\nlicense: cc-by-nc-4.0", INVALID),
    pictures("a licence twice in other letters", "license: own\nLicense: cc-by-nc-4.0", INVALID),
    pictures("a field in British spelling", "license: own\nlicence: cc-by-nc-4.0", INVALID),
    pictures("an anchor", "license: &a own\nsource: *a", INVALID),
    pictures("a tag of YAML", "license: !!str own", INVALID),
    pictures("a merge key", "<<: {license: own}", INVALID),
    pictures("a no of YAML", "license: no", INVALID),
    pictures("two documents", "license: own\n---\nlicense: cc-by-nc-4.0", INVALID),
    pictures("UTF-16", "license: own".encode("utf-16"), INVALID),
    pictures("a NUL", "license: own\x00", INVALID),
    pictures("giant", "license: own\nsource: " + "x" * 70_000, INVALID),
    pictures("persons without consent", "license: own\npersons: identifiable", "persons_without_consent"),
    pictures(
        "persons said to consent, without a record",
        "license: own\npersons: consented",
        "persons_without_consent consent_record_missing",
    ),
    pictures("a record that is not there", "license: own\npersons: identifiable\nconsent: gone.txt", "consent_record_missing"),
    pictures(
        "a record that is empty",
        "license: own\npersons: identifiable\nconsent: record.txt",
        "consent_record_missing",
        {"record.txt": ""},
    ),
    pictures(
        "the declaration as its own record",
        "license: own\npersons: identifiable\nconsent: dataset.yaml",
        "consent_record_missing dataset_invalid persons_without_consent",
    ),
    pictures("persons as a number", "license: own\npersons: 3", INVALID),
    pictures("consent as a number", "license: own\npersons: identifiable\nconsent: 1", INVALID),
    pictures("consent as a word", "license: own\npersons: identifiable\nconsent: 'yes'", "consent_record_missing"),
    pictures(
        "own, from a source that bars",
        "license: own\nsource: pictures from Flickr under CC BY-NC 4.0",
        "dataset_source_contradicts source_contradicts dataset_invalid non_commercial card_body_restricts data_restricted",
    ),
)
ITEMS: tuple[Case, ...] = (
    pictures("one item non-commercial", "license: own\nitems:\n  birch.png: {license: cc-by-nc-4.0, author: Jane}", NC),
    pictures(
        "one item of a hundred non-commercial",
        "license: own\nitems:\n"
        + "".join(f"  leaf{number}.png: {{license: cc0-1.0}}\n" for number in range(99))
        + "  zz.png: {license: cc-by-nc-sa-4.0}",
        NC,
    ),
    pictures(
        "one item without derivatives",
        "license: cc-by-4.0\nitems:\n  'b*.png': {license: cc-by-nd-4.0}",
        "license_unclear license_forbids no_derivatives",
    ),
    pictures("one item of an unknown licence", "license: own\nitems:\n  birch.png: {license: found on a page}", UNKNOWN),
    pictures("one item whose licence is unknown", "license: own\nitems:\n  birch.png: {license: unknown}", "license_unclear"),
    pictures("one item without a licence", "license: own\nitems:\n  birch.png: {author: Jane}", f"{MISSING} {INVALID}"),
    pictures("one item by a licence alone", "license: own\nitems:\n  birch.png: cc-by-nc-4.0", INVALID),
    pictures("items as a list", "license: own\nitems: [birch.png]", INVALID),
    pictures("items twice", "license: own\nitems:\n  birch.png: {license: cc-by-nc-4.0}\n  birch.png: {license: own}", INVALID),
    pictures(
        "an item with a field in British spelling",
        "license: own\nitems:\n  birch.png: {license: own, licence: cc-by-nc-4.0}",
        INVALID,
    ),
    pictures(
        "an item from a source that bars",
        "license: own\nitems:\n  birch.png: {license: own, source: 'https://leaves.example, CC BY-NC 4.0'}",
        "dataset_source_contradicts dataset_restricts",
    ),
    pictures(
        "an item whose author bars",
        "license: cc0-1.0\nitems:\n  birch.png: {license: cc0-1.0, author: 'Jane (no commercial use)'}",
        "dataset_source_contradicts dataset_restricts",
    ),
    pictures(
        "minors",
        "license: own\npersons: consented\nconsent: record.txt\nminors: present",
        "minors_present",
        {"record.txt": "signed"},
    ),
    pictures("minors by a word of its own", "license: own\nminors: some", INVALID),
    pictures("an opt-out check that is a word", "license: own\nopt_out: yes, of course", INVALID),
    pictures("an opt-out check on no day", "license: own\nopt_out: {checked: true, date: 2026-02-31}", INVALID),
)

HUB: tuple[Case, ...] = (
    hosted("a tag that bars", f"{NC} license_text_missing", data("license: cc-by-nc-4.0", None)),
    hosted("a text that bars", NC, data("license: cc-by-nc-4.0", synthetic("cc-by-nc-4.0"))),
    hosted(
        "a text that bars under a clean tag", f"{NC} tag_contradicts_text", data("license: cc-by-4.0", synthetic("cc-by-nc-4.0"))
    ),
    hosted("a clean tag without a text", "license_text_missing", data("license: cc-by-4.0", None)),
    hosted("no tag and no text", "license_missing", data(None, None)),
    hosted("a body that bars", "card_body_restricts", data(body="The pictures are for academic research only.")),
    hosted(
        "details that bar",
        "card_invalid card_body_restricts card_key_unknown",
        data("license: cc-by-4.0\nlicense_details: research only"),
    ),
    hosted("two licences", "tag_ambiguous", data("license: [cc-by-4.0, cc-by-nc-4.0]")),
    hosted(
        "a source that bars",
        NC,
        data("license: cc-by-4.0\nsource_datasets: [s/origin]"),
        s__origin=data("license: cc-by-nc-4.0", synthetic("cc-by-nc-4.0")),
    ),
    hosted(
        "an extended source that bars",
        NC,
        data("license: cc-by-4.0\nsource_datasets:\n- extended|s/origin"),
        s__origin=data("license: cc-by-nc-4.0", synthetic("cc-by-nc-4.0")),
    ),
    hosted("a source that is gone", "hub_not_found data_unreachable", data("license: cc-by-4.0\nsource_datasets: [s/gone]")),
    hosted("a gate", "hub_gated", data(fault="gated")),
    hosted("gone", "hub_not_found", data(fault="missing")),
    hosted("a broken server", "hub_error", data(fault="broken")),
    hosted("a model in the place of data", "hub_not_found", Repo(files=bare())),
    hosted(
        "no derivatives", "license_unclear license_forbids no_derivatives", data("license: cc-by-nd-4.0", synthetic("cc-by-nd-4.0"))
    ),
    hosted("a tag on the Hub that differs", "tag_contradicts_hub", data(card_data={"license": "cc-by-nc-4.0"})),
    dirty("data: a name that is nothing", folder(), "refused", dataset="pictures of leaves"),
    dirty(
        "data: the licence file of a base that is clean says nothing of pictures",
        folder(),
        MISSING,
        dataset=Folder(files={"LICENSE": APACHE}, name="pictures"),
    ),
)

CLEAN: tuple[Case, ...] = (
    good("own", "license: own"),
    good("own, all said", "license: own\nsource: drawn by hand\npersons: none\nconsent: false"),
    good("own, from a page of one's own", "license: own\nsource: https://leaves.example/drawings"),
    good("MIT with its source", "license: mit\nsource: a set of emoji", "ATTRIBUTION"),
    good("CC BY", "license: CC-BY-4.0\nsource: https://leaves.example/", "ATTRIBUTION"),
    good("CC BY-SA marks what comes of it", "license: cc-by-sa-4.0\nsource: https://leaves.example/", "ATTRIBUTION SHARE_ALIKE"),
    good("CC0", "license: CC0-1.0"),
    good(
        "persons who consented",
        "license: own\npersons: consented\nconsent: record.txt",
        "",
        {"record.txt": "signed by all on 2026-10-01"},
    ),
    good("persons whose consent is stated", "license: own\npersons: identifiable\nconsent: true"),
    good(
        "items of their own",
        "license: own\nitems:\n  'a*.png': {license: cc-by-4.0, author: Jane, source: leaves.example}\n  b.png: {license: own}",
        "ATTRIBUTION",
    ),
    good(
        "no minors, opt-outs looked up",
        "license: own\npersons: none\nminors: none\nopt_out: {checked: true, how: asked each author, date: 2026-10-01}",
    ),
    good("a declaration with a comment", "# mine\nlicense: own # all of it\n"),
    good("a declaration with ends of line of Windows", "license: own\r\nsource: mine\r\n"),
    good("a declaration behind a byte order mark", "\ufefflicense: own\n"),
    clean("data on the Hub: tag and text agree", folder(), "ATTRIBUTION", dataset="p/pics", repos={"p/pics": data()}),
    clean("data on the Hub: Apache", folder(), dataset="p/pics", repos={"p/pics": data(FRONT, APACHE)}),
    clean(
        "data on the Hub: a clean source",
        folder(),
        dataset="p/pics",
        repos={"p/pics": data("license: cc-by-4.0\nsource_datasets: [s/origin]"), "s/origin": data()},
    ),
    clean(
        "data on the Hub: its own source",
        folder(),
        dataset="p/pics",
        repos={
            "p/pics": data(
                "license: cc-by-4.0\nsource_datasets: [original]\ntask_categories: [text-to-image]\nsize_categories: [n<1K]"
            )
        },
    ),
    clean("base and data on the Hub", "a/base", dataset="p/pics", repos={"a/base": Repo(files=files()), "p/pics": data()}),
)
assert under

CASES = (*FOLDERS, *ITEMS, *HUB, *CLEAN)
