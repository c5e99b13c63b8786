"""Texts against tag: changed, joined, hidden, struck out, under odd names; notices, policies and second cards."""

from tests.licenses.adversarial.build import card, folder
from tests.licenses.adversarial.case import LINKS_NOWHERE, Case, Folder, clean, dirty
from tests.licenses.adversarial.texts import APACHE, BSD_3, CC_BY, MIT, MIT_BODY, synthetic

UNKNOWN = "text_unknown"
LINK = "link_contradicts link_off_hub link_broken hub_not_found"
UNREAD = "text_not_plain text_unknown file_unreadable"
BAN = "This model may be used for non-commercial purposes only."


def tagged(id: str, front: str, codes: str) -> Case:
    return dirty(id, folder(front=front), codes)


FILES: tuple[Case, ...] = (
    dirty("a text with one word changed", folder({"LICENSE": APACHE.replace("irrevocable", "revocable", 1)}), UNKNOWN),
    dirty("a text with one word less", folder({"LICENSE": APACHE.replace("worldwide, ", "", 1)}), UNKNOWN),
    dirty("a text with a no more", folder({"LICENSE": APACHE.replace("hereby grants to You", "hereby grants no You", 1)}), UNKNOWN),
    dirty("a text with an addendum", folder({"LICENSE": f"{APACHE}\nAddendum: hosting for a fee needs our leave.\n"}), UNKNOWN),
    dirty("a text with a preamble", folder({"LICENSE": f"For the code, not the weights:\n{APACHE}"}), UNKNOWN),
    dirty("two texts in one file", folder({"LICENSE": f"{APACHE}\n\n{synthetic('cc-by-nc-4.0')}"}), UNKNOWN),
    dirty(
        "the common clause",
        folder(
            {"LICENSE": f'"Commons Clause" License Condition v1.0\nThe grant does not include the right to Sell.\n\n{MIT}'},
            "license: mit",
        ),
        UNKNOWN,
    ),
    dirty(
        "MIT without the right to sell",
        folder({"LICENSE": MIT.replace("sublicense, and/or sell", "and/or sublicense")}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "a famous rider", folder({"LICENSE": f"{MIT}\nThe Software shall be used for Good, not Evil.\n"}, "license: mit"), UNKNOWN
    ),
    dirty(
        "a condition as a holder",
        folder({"LICENSE": f"Copyright (c) 2024 Jane Doe (CC-BY-NC)\n{MIT_BODY}"}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "a licence name as a holder",
        folder({"LICENSE": f"Copyright (c) 2024 Jane Doe, CC BY-NC-SA\n{MIT_BODY}"}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "hosts shut out as a holder",
        folder({"LICENSE": f"Copyright (c) 2024 Jane Doe, Inference Providers Excluded\n{MIT_BODY}"}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "a price as a holder",
        folder({"LICENSE": f"Copyright (c) 2024 Jane Doe\nCopyright (c) 2024 Companies Pay First\n{MIT_BODY}"}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "a German condition as a holder",
        folder({"LICENSE": f"Copyright (c) 2024 Jane Doe Gewerblich Untersagt\n{MIT_BODY}"}, "license: mit"),
        UNKNOWN,
    ),
    dirty(
        "a grant struck out",
        folder(
            {
                "LICENSE": None,
                "LICENSE.md": APACHE.replace("   2. Grant of Copyright License.", "~~2. Grant of Copyright License.").replace(
                    "   3. Grant of Patent License.", "~~\n\n3. Grant of Patent License."
                ),
            }
        ),
        UNKNOWN,
    ),
    dirty(
        "a grant in a comment",
        folder(
            {
                "LICENSE": None,
                "LICENSE.md": APACHE.replace("   2. Grant of Copyright License.", "<!-- 2. Grant of Copyright License.").replace(
                    "   3. Grant of Patent License.", "-->\n\n3. Grant of Patent License."
                ),
            }
        ),
        UNKNOWN,
    ),
    dirty(
        "a link of git in place of a text",
        folder({"LICENSE": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 11357\n"}),
        "text_is_pointer text_unknown",
    ),
    dirty("the name of a licence in place of its text", folder({"LICENSE": "Apache License 2.0\n"}), UNKNOWN),
    dirty(
        "the address of a licence in place of its text",
        folder({"LICENSE": "https://www.apache.org/licenses/LICENSE-2.0.txt\n"}),
        UNKNOWN,
    ),
    dirty(
        "the notice of a licence in place of its text",
        folder({"LICENSE": "Licensed under the Apache License, Version 2.0;\nyou may not use this file except in compliance."}),
        UNKNOWN,
    ),
    dirty("a second text that bars", folder({"LICENSE-WEIGHTS.txt": synthetic("cc-by-nc-4.0")}), "texts_disagree"),
    dirty("a second text that nobody knows", folder({"MODEL_LICENSE": "The weights are for research."}), UNKNOWN),
    dirty("a text that bars in a folder below", folder({"weights/LICENSE": synthetic("qwen-research")}), "texts_disagree"),
    dirty("a text in a folder of licences", folder({"LICENSES/weights.txt": BAN}), f"{UNKNOWN} texts_disagree card_body_restricts"),
    dirty(
        "a text in a folder called LICENSE",
        folder({"LICENSE": None, "LICENSE/code.txt": APACHE, "LICENSE/model.txt": BAN}),
        f"{UNKNOWN} license_text_missing",
    ),
    dirty("an addendum in a file of its own", folder({"ADDENDUM.md": BAN}), UNKNOWN),
    dirty("terms in a file of their own", folder({"TERMS_OF_USE.txt": BAN}), UNKNOWN),
    dirty("a legal notice in a file of its own", folder({"LEGAL.md": BAN}), f"{UNKNOWN} card_body_restricts"),
    dirty("a ban by the name of its file", folder({"NON_COMMERCIAL.txt": BAN}), f"{UNKNOWN} card_body_restricts"),
    dirty("a text under a German name", folder({"LIZENZ.txt": "Nur für nichtkommerzielle Zwecke."}), UNKNOWN),
    dirty("a text under a Chinese name", folder({"许可协议.txt": "仅供研究使用。"}), UNKNOWN),
    dirty("a text under a French name", folder({"LICENCE_FR.txt": "Usage non commercial uniquement."}), UNKNOWN),
    dirty("a text as JSON", folder({"LICENSE.json": '{"weights": "cc-by-nc-4.0"}'}), UNREAD),
    dirty("a text as YAML", folder({"LICENSE.yaml": "weights: cc-by-nc-4.0"}), UNREAD),
    dirty("a text as a picture", folder({"LICENSE.png": b"\x89PNG\r\n\x1a\n"}), UNREAD),
    dirty("a text as a PDF", folder({"MODEL-LICENSE.pdf": b"%PDF-1.7"}), UNREAD),
    dirty(
        "a text behind a link that leads nowhere",
        folder({"LICENSE-WEIGHTS": LINKS_NOWHERE}),
        "file_unreadable text_unreadable text_unknown folder_linked link_broken",
    ),
    dirty(
        "a card behind a link that leads nowhere",
        folder({"README.md": LINKS_NOWHERE}),
        "file_unreadable card_unreadable folder_linked link_broken",
    ),
    dirty(
        "a notice that bars",
        folder({"NOTICE": f"Leaves, copyright 2024 Jane Doe.\n{BAN}\n"}),
        "notice_restricts card_body_restricts text_unknown",
    ),
    dirty(
        "a notice of third parties that bars",
        folder({"THIRD_PARTY_NOTICES.md": "The encoder is licensed under CC BY-NC 4.0."}),
        "notice_restricts card_body_restricts text_unknown",
    ),
    dirty("a policy beside a permissive licence", folder({"USE_POLICY.md": "No use by companies."}), UNKNOWN),
    dirty(
        "a policy that bars beside rail",
        folder({"LICENSE": synthetic("openrail++"), "USE_POLICY.md": f"You may not generate hate.\n{BAN}"}, "license: openrail++"),
        "text_unknown policy_restricts notice_restricts card_body_restricts",
    ),
    dirty(
        "a card in Chinese that bars",
        folder({"README_zh.md": card(body="本模型仅供学术研究使用，禁止商用。")}),
        "card_body_restricts card_ambiguous text_unknown",
    ),
    dirty("a plain README that bars", folder({"README.txt": BAN}), "card_body_restricts card_ambiguous text_unknown"),
    dirty(
        "a model card in a file of its own that bars",
        folder({"MODEL_CARD.md": card("license: cc-by-nc-4.0", BAN)}),
        "card_body_restricts card_ambiguous text_unknown tag_contradicts_text",
    ),
    dirty("two cards that differ in case", folder({"Readme.md": card("license: cc-by-nc-4.0")}), "card_ambiguous"),
    dirty("the barred weights under a permissive text", folder({"flux1-dev-fp8.safetensors": b""}), "file_of_barred"),
)

CLEAN: tuple[Case, ...] = (
    clean("a clean folder", folder()),
    clean("a text without a card", folder({"README.md": None})),
    clean("LICENSE.txt", folder({"LICENSE": None, "LICENSE.txt": APACHE})),
    clean("LICENSE.md", folder({"LICENSE": None, "LICENSE.md": APACHE})),
    clean("LICENCE", folder({"LICENSE": None, "LICENCE": APACHE})),
    clean("COPYING", folder({"LICENSE": None, "COPYING": MIT}, "license: mit")),
    clean("the same text twice", folder({"LICENSE.txt": APACHE})),
    clean("the same text in a folder of licences", folder({"LICENSES/Apache-2.0.txt": APACHE})),
    clean("MIT with a holder", folder({"LICENSE": MIT}, "license: mit")),
    clean(
        "MIT with holders and years",
        folder(
            {
                "LICENSE": f"The MIT License (MIT)\n\nCopyright (c) 2019-2024 A. B. van Dijk and contributors. "
                f"All rights reserved.\n\n{MIT_BODY}"
            },
            "license: mit",
        ),
    ),
    clean(
        "MIT with a company",
        folder({"LICENSE": f"MIT License\n\nCopyright (c) Microsoft Corporation.\n\n{MIT_BODY}"}, "license: mit"),
    ),
    clean("BSD with three clauses", folder({"LICENSE": BSD_3}, "license: bsd-3-clause")),
    clean("CC BY 4.0 from the library", folder({"LICENSE": CC_BY}, "license: cc-by-4.0"), "ATTRIBUTION"),
    clean(
        "Apache with a holder in its appendix",
        folder({"LICENSE": APACHE.replace("[yyyy] [name of copyright owner]", "2024 Leaf Works Ltd")}),
    ),
    clean("Apache without its appendix", folder({"LICENSE": APACHE.partition("APPENDIX")[0]})),
    clean("rail by its own tag", folder({"LICENSE": synthetic("openrail++")}, "license: openrail++"), "FLOWDOWN"),
    clean(
        "creativeml by its own tag",
        folder({"LICENSE": synthetic("creativeml-openrail-m")}, "license: creativeml-openrail-m"),
        "FLOWDOWN",
    ),
    clean(
        "rail by its family tag and an exact text",
        folder({"LICENSE": synthetic("creativeml-openrail-m")}, "license: openrail"),
        "FLOWDOWN",
    ),
    clean(
        "a notice that credits",
        folder(
            {
                "NOTICE": "Leaves\nCopyright 2024 Jane Doe\n\nThis product includes drawings made by the leaf project (https://leaves.example/).\n"
            }
        ),
    ),
    clean("a licence that an index does not need", Folder(files={"README.md": card(), "LICENSE": APACHE})),
    clean(
        "code and pictures beside it",
        folder(
            {
                "license_plate.py": "PLATE = 1\n",
                "images/leaf.png": b"\x89PNG\r\n\x1a\n",
                "run.py": "print(1)\n",
                "CITATION.cff": "cff-version: 1.2.0\n",
            }
        ),
    ),
)

CASES = (*FILES, *CLEAN)
