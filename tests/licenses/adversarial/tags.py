"""Tag against text: names, families, choices, gates and links that say another thing."""

from tests.licenses.adversarial.build import DEV, FRONT, folder
from tests.licenses.adversarial.case import Case, clean, dirty
from tests.licenses.adversarial.texts import synthetic

UNKNOWN = "text_unknown"
LINK = "link_contradicts link_off_hub link_broken hub_not_found"
UNREAD = "text_not_plain text_unknown file_unreadable"
BAN = "This model may be used for non-commercial purposes only."


def tagged(id: str, front: str, codes: str) -> Case:
    return dirty(id, folder(front=front), codes)


TAGS: tuple[Case, ...] = (
    tagged("a stricter tag over a permissive text", "license: cc-by-nc-4.0", "tag_contradicts_text"),
    tagged("the tag of a research licence over a permissive text", "license: deepfloyd-if-license", "tag_contradicts_text"),
    dirty(
        "a permissive tag over a text that bars",
        folder({"LICENSE": synthetic("flux-1-dev-nc")}),
        "tag_contradicts_text non_commercial",
    ),
    dirty(
        "a permissive tag over a text with conditions",
        folder({"LICENSE": synthetic("stability-community")}),
        "tag_contradicts_text",
    ),
    dirty("a permissive tag over rail", folder({"LICENSE": synthetic("creativeml-openrail-m")}), "tag_contradicts_text"),
    dirty(
        "creativeml under the tag of its successor",
        folder({"LICENSE": synthetic("openrail++")}, "license: creativeml-openrail-m"),
        "tag_contradicts_text",
    ),
    dirty(
        "rail by its family name without a text",
        folder({"LICENSE": None}, "license: openrail"),
        "license_text_missing license_unclear",
    ),
    dirty(
        "rail by its family name over a text that bars",
        folder({"LICENSE": synthetic("sdxl-0.9-research")}, "license: openrail"),
        "tag_contradicts_text non_commercial",
    ),
    tagged("a family tag nobody can resolve", "license: unknown", "tag_contradicts_text license_unclear"),
    dirty(
        "other without a name and without a text",
        folder({"LICENSE": None}, "license: other"),
        "license_text_missing license_unclear",
    ),
    dirty("other over a text that nobody knows", folder({"LICENSE": "House rules. Be kind."}, "license: other"), UNKNOWN),
    tagged(
        "other by the name of a barred licence",
        "license: other\nlicense_name: flux-1-dev-non-commercial-license",
        "tag_contradicts_text",
    ),
    tagged(
        "the name of a barred licence as a tag", "license: flux-1-dev-non-commercial-license", "tag_unknown tag_contradicts_text"
    ),
    tagged(
        "other by a permissive name with a rider", "license: other\nlicense_name: apache-2.0-non-commercial", "license_name_unknown"
    ),
    tagged("a tag with a rider", "license: apache-2.0 (non-commercial)", "tag_unknown tag_ambiguous card_body_restricts"),
    tagged(
        "a tag in a sentence",
        "license: Apache 2.0 for the code, CC BY-NC for the weights",
        "tag_unknown tag_ambiguous card_body_restricts",
    ),
    tagged("other by a name that nobody knows", "license: other\nlicense_name: leaf-licence-7", "license_name_unknown"),
    tagged(
        "a permissive tag by the name of a barred licence",
        "license: apache-2.0\nlicense_name: qwen-research",
        "tag_contradicts_name",
    ),
    tagged("a misspelt family tag", "license: creativeml-openrail", "tag_unknown tag_ambiguous tag_contradicts_text"),
    tagged("a tag with a slip of the pen", "license: apache-2.O", "tag_unknown"),
    tagged("a tag without its version", "license: apache", "tag_unknown tag_ambiguous"),
    tagged("the older version of a licence", "license: apache-1.1", "tag_unknown"),
    tagged("an SPDX choice", "license: Apache-2.0 OR CC-BY-NC-4.0", "tag_unknown tag_ambiguous tag_contradicts_text"),
    tagged(
        "an SPDX sum", "license: Apache-2.0 AND CC-BY-NC-4.0", "licenses_together tag_unknown tag_ambiguous tag_contradicts_text"
    ),
    tagged("an SPDX exception", "license: Apache-2.0 WITH LLVM-exception", "tag_unknown tag_ambiguous tag_contradicts_text"),
    tagged("an SPDX reference", "license: LicenseRef-House", "tag_unknown"),
    tagged("two tags", "license: [apache-2.0, cc-by-nc-4.0]", "tag_ambiguous"),
    tagged("two tags joined by a slash", "license: apache-2.0/cc-by-nc-4.0", "tag_unknown tag_ambiguous"),
    tagged("an empty list of tags", "license: []", "card_invalid"),
    tagged("a tag as a mapping", "license: {name: apache-2.0, scope: code}", "card_invalid"),
    tagged(
        "a licence in British spelling",
        f"{FRONT}\nlicence: cc-by-nc-4.0",
        "card_invalid card_key_unknown tag_contradicts_text tag_ambiguous",
    ),
    tagged(
        "a licence under a key with a blank",
        f'{FRONT}\n"license ": cc-by-nc-4.0',
        "card_invalid card_key_unknown tag_contradicts_text",
    ),
    tagged(
        "a licence under a key with a foreign letter",
        f"{FRONT}\nliсense: cc-by-nc-4.0",
        "card_invalid card_key_unknown tag_contradicts_text card_body_restricts",
    ),
    tagged(
        "a licence in the plural",
        f"{FRONT}\nlicenses: [apache-2.0, cc-by-nc-4.0]",
        "card_invalid card_key_unknown tag_contradicts_text tag_ambiguous",
    ),
    tagged(
        "details of the licence that take it back",
        f"{FRONT}\nlicense_details: non-commercial use only",
        "card_invalid card_key_unknown card_body_restricts",
    ),
    tagged(
        "a tag of the author that takes it back",
        f"{FRONT}\ntags: [leaves, non-commercial]",
        "card_body_restricts card_tags_restrict tag_contradicts_text",
    ),
    tagged(
        "a licence among the tags of the author",
        f'{FRONT}\ntags: [leaves, "license:cc-by-nc-4.0"]',
        "card_body_restricts card_tags_restrict tag_contradicts_text tag_ambiguous",
    ),
    dirty("no tag and no text", folder({"README.md": None, "LICENSE": None}), "license_missing"),
    dirty("a tag without a text", folder({"LICENSE": None}), "license_text_missing"),
    tagged(
        "a gate that wants non-commercial use agreed",
        f"{FRONT}\nextra_gated_prompt: By access you agree to non-commercial use only.",
        "card_body_restricts",
    ),
    tagged(
        "a gate whose box wants non-commercial use agreed",
        f"{FRONT}\nextra_gated_fields:\n  Country: country\n  I agree to use this model for non-commercial use ONLY: checkbox",
        "card_body_restricts",
    ),
    tagged(
        "a gate whose button wants it agreed",
        f"{FRONT}\nextra_gated_button_content: Agree to research use only",
        "card_body_restricts",
    ),
    tagged(
        "a gate that shuts the EU out",
        f"{FRONT}\nextra_gated_eu_disallowed: true",
        "card_body_restricts territory_excluded card_restricts gate_restricts",
    ),
)

LINKS: tuple[Case, ...] = (
    tagged(
        "a link to the licence of a barred model",
        f"{FRONT}\nlicense_link: https://huggingface.co/{DEV}/blob/main/LICENSE.md",
        "link_contradicts",
    ),
    tagged("a link to terms elsewhere", f"{FRONT}\nlicense_link: https://leaves.example/terms-of-the-weights", LINK),
    tagged("other with a link to terms elsewhere", "license: other\nlicense_link: https://leaves.example/eula.html", LINK),
    tagged(
        "a link to another repository's licence",
        f"{FRONT}\nlicense_link: https://huggingface.co/somebody/other-model/blob/main/LICENSE",
        LINK,
    ),
    tagged(
        "a link to the page of a licence that bars", f"{FRONT}\nlicense_link: https://creativecommons.org/licenses/by-nc/4.0/", LINK
    ),
    tagged(
        "a link to a file that is not there",
        f"{FRONT}\nlicense_link: MODEL_LICENSE.pdf",
        f"{LINK} link_broken license_text_missing",
    ),
    tagged("a link that is no text", f"{FRONT}\nlicense_link: [LICENSE]", "card_invalid"),
)

CLEAN: tuple[Case, ...] = (
    clean("the tag in SPDX letters", folder(front="license: Apache-2.0")),
    clean("the tag in quotes", folder(front='license: "apache-2.0"')),
    clean("the tag in a list of one", folder(front="license:\n- apache-2.0")),
    clean("other with a text that says which", folder(front="license: other")),
    clean("a link to the file beside it", folder(front=f"{FRONT}\nlicense_link: LICENSE")),
    clean("a link to the page of its licence", folder(front=f"{FRONT}\nlicense_link: https://www.apache.org/licenses/LICENSE-2.0")),
    clean(
        "many ordinary fields",
        folder(
            front=f"{FRONT}\nlanguage: [en, de]\nlibrary_name: diffusers\npipeline_tag: text-to-image\n"
            f"tags: [leaves, art, 'license-free fonts']\nwidget:\n- text: a leaf\n  output: {{url: images/leaf.png}}\n"
            "inference: false\ndatasets: []\nmetrics: [fid]"
        ),
    ),
    clean(
        "a card that describes results",
        folder(
            front=f"{FRONT}\nmodel-index:\n- name: leaves\n  results:\n  - task: {{type: text-to-image}}\n"
            f"    dataset: {{name: leaves, type: leaves}}\n"
            f"    metrics:\n    - {{type: fid, value: 9.5}}"
        ),
    ),
)

CASES = (*TAGS, *LINKS, *CLEAN)
