"""Hostile YAML, encodings and sizes in cards and licence texts."""

from tests.licenses.adversarial.build import DEV, FRONT, card, folder
from tests.licenses.adversarial.case import Case, clean, dirty
from tests.licenses.adversarial.texts import APACHE

INVALID = "card_invalid"
NC = "non_commercial"
HIDDEN = f"{INVALID} {NC} card_ambiguous card_body_names_barred ancestor_in_body tag_contradicts_text card_body_restricts"


def front(id: str, front: str, codes: str = INVALID) -> Case:
    return dirty(id, folder(front=front), codes)


def readme(id: str, raw: str | bytes, codes: str) -> Case:
    return dirty(id, folder({"README.md": raw}), codes)


YAML: tuple[Case, ...] = (
    front("an anchor and its alias", "base: &a apache-2.0\nlicense: *a"),
    front("an anchor alone", "license: &a apache-2.0"),
    front("a merge key", "defaults: &d {license: cc-by-nc-4.0}\n<<: *d\nlicense: apache-2.0"),
    front("a merge key without an alias", "<<: {license: cc-by-nc-4.0}\nlicense: apache-2.0"),
    front("a tag of Python", "license: !!python/object/apply:os.system ['true']"),
    front("a tag of its own", "license: !house apache-2.0"),
    front("a tag that turns text into bytes", "license: !!binary YXBhY2hlLTIuMA=="),
    front("a billion laughs", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nlicense: apache-2.0"),
    front("a licence twice", "license: cc-by-nc-4.0\nlicense: apache-2.0"),
    front("a licence twice in other letters", "LICENSE: cc-by-nc-4.0\nlicense: apache-2.0"),
    front("a parent twice", f"{FRONT}\nbase_model: {DEV}\nbase_model: a/clean"),
    front("a licence that is no", "license: no"),
    front("a licence that is null", "license:", f"{INVALID} license_missing license_text_missing tag_contradicts_text"),
    front("a licence that is octal", "license: 017"),
    front("a licence that is a date", "license: 2024-01-01"),
    front("a licence that is a number", "license: 1.0"),
    front("a licence that is empty", "license: ''"),
    front("a licence that is blank", "license: '   '"),
    front("a licence on several lines", "license: |\n  apache-2.0\n  cc-by-nc-4.0", f"{INVALID} tag_unknown"),
    front("a licence that is nested", "license:\n  id: apache-2.0"),
    front("a tab in the place of blanks", "model:\n\tlicense: cc-by-nc-4.0\nlicense: apache-2.0"),
    front("a quote that never closes", 'license: "apache-2.0'),
    front("a bracket that never closes", "tags: [leaves\nlicense: apache-2.0"),
    front("a list in the place of fields", "- license: apache-2.0"),
    front("a text in the place of fields", "license apache-2.0"),
    front("nested too deep", f"{FRONT}\na: " + "[" * 40 + "]" * 40),
    front("nested much too deep", f"{FRONT}\na: " + "[" * 20_000 + "]" * 20_000, f"{INVALID} card_too_large"),
    front("a huge front matter", f"{FRONT}\nnote: " + "y" * 70_000, "card_too_large file_too_large"),
    front("a huge number", f"{FRONT}\nn: " + "9" * 10_000, f"{INVALID} card_too_large"),
    front("a key that is a list", f"{FRONT}\n? [a, b]\n: c"),
    front("a directive of YAML", f"%YAML 1.1\n{FRONT}"),
    front("two documents", f"{FRONT}\n... \nbase_model: {DEV}"),
    front("escapes in a parent", f'{FRONT}\nbase_model: "black-forest-labs\\u002FFLUX.1-dev"', NC),
    front("a folded parent", f"{FRONT}\nbase_model: >-\n  {DEV}", NC),
    front("a parent behind a comment sign", f"{FRONT} #\nbase_model: {DEV} # only the schedule", NC),
    readme("front matter never closed", f"---\n{FRONT}\nbase_model: {DEV}\n\n# Leaves\n", INVALID),
    readme("front matter behind a blank", f" ---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind a tab and lines", f"\n\t\n\t---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind two byte order marks", f"\ufeff\ufeff---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind a hard blank", f"\u00a0---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind a blank of no width", f"\u200b---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind a comment", f"<!-- card -->\n---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("front matter behind a form feed", f"\x0c---\n{FRONT}\nbase_model: {DEV}\n---\n", HIDDEN),
    readme(
        "front matter behind a blank, with a list in it",
        " ---\ntags:\n- leaves\nlicense: other\nlicense_name: leaf-house\n---\n",
        HIDDEN,
    ),
    readme("front matter behind a blank, in braces", " ---\n{license: other, base_model: a/nowhere}\n---\n", HIDDEN),
    readme("front matter in a fence", f"```yaml\n---\n{FRONT}\nbase_model: {DEV}\n---\n```\n", HIDDEN),
    readme("a parent behind the end of a document", f"---\n{FRONT}\n...\nbase_model: {DEV}\n---\n", HIDDEN),
    readme("a barred parent with ends of line of a Mac", f"---\r{FRONT}\rbase_model: {DEV}\r---\r\r# Leaves\r", NC),
    readme("a barred parent with ends of line of Windows", card(f"{FRONT}\nbase_model: {DEV}").replace("\n", "\r\n"), NC),
    readme("a barred parent behind a byte order mark", "\ufeff" + card(f"{FRONT}\nbase_model: {DEV}"), NC),
    readme("a control sign in a tag", card("license: apache-2.0\x08\x08\x08"), INVALID),
    readme("a blank of no width in a tag", card("license: apache\u200b-2.0"), f"tag_unknown {INVALID}"),
    readme("a foreign letter in a tag", card("license: аpache-2.0"), f"tag_unknown {INVALID}"),
    readme(
        "a foreign letter in a parent",
        card(f"{FRONT}\nbase_model: black-forest-labs/FLUX.1-dеv"),
        f"ancestor_unresolved {INVALID} {NC}",
    ),
    readme("a line end of another kind before a parent", card(f"{FRONT}\u2028base_model: {DEV}"), HIDDEN + " tag_unknown"),
)

ENCODINGS: tuple[Case, ...] = (
    readme("a card in UTF-16", card(f"{FRONT}\nbase_model: {DEV}").encode("utf-16"), "card_not_utf8"),
    readme("a card in UTF-16 without a mark", card().encode("utf-16-le"), "card_not_utf8"),
    readme("a card in UTF-32", card().encode("utf-32"), "card_not_utf8"),
    readme("a card in Latin-1", card(body="Für Bücher.").encode("latin-1"), "card_not_utf8"),
    readme("a card with a NUL", card(body="leaves\x00 non-commercial"), "card_not_utf8"),
    readme("a card with a broken sequence", card().encode() + b"\xc3\x28", "card_not_utf8"),
    readme("a card with an overlong slash", card().encode() + b"\xc0\xaf", "card_not_utf8"),
    readme("a card with half of a pair", card().encode() + "\ud800".encode("utf-8", "surrogatepass"), "card_not_utf8"),
    readme("a card that says its parent a thousand times", card(body=f"fine-tuned from {DEV} " * 1_000), NC),
    readme("a giant card", card(body="leaf " * 260_000), "file_too_large card_too_large"),
    dirty("a text in UTF-16", folder({"LICENSE": APACHE.encode("utf-16")}), "text_not_utf8"),
    dirty("a second text in UTF-16", folder({"LICENSE-MODEL": "Research only.".encode("utf-16")}), "text_not_utf8"),
    dirty("a second text in Latin-1", folder({"LICENSE-MODEL": "Réservé à la recherche.".encode("latin-1")}), "text_not_utf8"),
    dirty("a text with a NUL", folder({"LICENSE": APACHE + "\x00"}), "text_not_utf8"),
    dirty("a text with a foreign letter", folder({"LICENSE": APACHE.replace("Contributor", "Соntributor")}), "text_unknown"),
    dirty("a text with blanks of no width", folder({"LICENSE": APACHE.replace("perpetual", "perp\u200betual", 1)}), "text_unknown"),
    dirty("a text with a rider in fancy letters", folder({"LICENSE": APACHE + "\n𝖭𝗈𝗇-𝖼𝗈𝗆𝗆𝖾𝗋𝖼𝗂𝖺𝗅 𝗈𝗇𝗅𝗒\n"}), "text_unknown"),
    dirty("a text with a rider in another script", folder({"LICENSE": APACHE + "\n禁止商用\n"}), "text_unknown"),
    dirty(
        "a text with a rider that reads backwards",
        folder({"LICENSE": APACHE + "\n\u202eylno laicremmoc-non\u202c\n"}),
        "text_unknown",
    ),
    dirty("a giant text", folder({"LICENSE": APACHE + " \n" * 300_000}), "file_too_large"),
    dirty("a giant second text", folder({"LICENSE-MODEL": "x" * 600_000}), "file_too_large"),
    dirty("an empty text", folder({"LICENSE": ""}), "text_empty"),
    dirty(
        "many texts with the one that bars last",
        folder({f"part{number:02}/LICENSE": APACHE for number in range(24)} | {"zz/LICENSE": "Research only."}),
        "texts_too_many text_unknown",
    ),
    dirty("an index that does not parse", folder({"model_index.json": '{"vae": ["diffusers", "AutoencoderKL"'}), "json_invalid"),
    dirty("an index in UTF-16", folder({"model_index.json": "{}".encode("utf-16")}), "json_not_utf8 json_invalid"),
    dirty("an index that is a list", folder({"model_index.json": "[]"}), "json_invalid"),
    dirty("an index nested too deep", folder({"model_index.json": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"}), "json_invalid"),
    dirty("a giant index", folder({"model_index.json": '{"a": "' + "x" * 1_100_000 + '"}'}), "file_too_large"),
    dirty(
        "an index that says its origin twice",
        folder({"model_index.json": f'{{"_name_or_path": "{DEV}", "_name_or_path": "x"}}'}),
        f"json_invalid {NC}",
    ),
)

CLEAN: tuple[Case, ...] = (
    clean("a card behind a byte order mark", folder({"README.md": "\ufeff" + card()})),
    clean("a card with ends of line of Windows", folder({"README.md": card().replace("\n", "\r\n")})),
    clean("a card with ends of line of a Mac", folder({"README.md": card().replace("\n", "\r")})),
    clean("a card with empty lines before it", folder({"README.md": "\n\n" + card()})),
    clean("a card without front matter", folder({"README.md": "# Leaves\n\nA small model.\n"})),
    clean("a card that is empty", folder({"README.md": ""})),
    clean("a card with a line and another under it", folder({"README.md": card(body="First.\n\n---\n\nSecond.")})),
    clean(
        "a card with a comment in its front", folder(front="# the licence of code and weights\nlicense: apache-2.0 # as in LICENSE")
    ),
    clean("a card with letters of the world", folder(body="Blätter, feuilles, 葉, листья, أوراق 🍂")),
    clean(
        "a card with code",
        folder(body="```yaml\nprompt: a leaf\nsteps: 24\n```\n\n```python\npipe = ZImagePipeline.from_pretrained('a/leaves')\n```"),
    ),
    clean("a text with ends of line of Windows", folder({"LICENSE": APACHE.replace("\n", "\r\n")})),
    clean("a text behind a byte order mark", folder({"LICENSE": "\ufeff" + APACHE})),
    clean(
        "a text set in one line a paragraph",
        folder({"LICENSE": APACHE.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")}),
    ),
    clean("a large card", folder(body="One more leaf. " * 20_000)),
    clean("a card of empty lines", folder(body="\n" * 20_000)),
)

CASES = (*YAML, *ENCODINGS, *CLEAN)
