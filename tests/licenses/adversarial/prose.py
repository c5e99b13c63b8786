"""Cards that take back in words what tag and text grant, in several tongues and disguises; and ordinary words that do not."""

from tests.licenses.adversarial.build import page
from tests.licenses.adversarial.case import Case, clean, dirty


def said(id: str, body: str) -> Case:
    return dirty(f"body: {id}", page(body), "card_body_restricts")


def harmless(id: str, body: str) -> Case:
    return clean(f"body: {id}", page(body))


ENGLISH: tuple[Case, ...] = (
    said("non-commercial", "This model may be used for non-commercial purposes only."),
    said("non-commercial at the end of a heading", "## License: Non-Commercial"),
    said("noncommercial in one word", "The weights are noncommercial."),
    said("commercial use prohibited", "Commercial use is prohibited."),
    said("commercial use not allowed", "Commercial use is not allowed."),
    said("commercial use no", "Commercial use: No"),
    said("commercial use in a table", "| Use | Allowed |\n|---|---|\n| Research | ✅ |\n| Commercial use | ❌ |"),
    said("commercial use crossed", "❌ Commercial use"),
    said("commercial use with a slip of the pen", "For non-commerical use only."),
    said("commercialization banned", "We prohibit any form of commercialization of this model."),
    said("research only", "Released for research purposes only."),
    said("strictly for research", "This model is intended strictly for academic research."),
    said("educational", "For educational use only, please."),
    said("hobbyists", "Free for hobbyists and personal projects; everybody else has to ask first."),
    said("behind an API", "This model is not permitted to be used behind API services."),
    said("generation services", "Do not run this model on generation services that charge their users."),
    said("hosting needs leave", "Hosting this model as a service requires written permission."),
    said("monetised", "You are not permitted to run inference of this model on websites that allow any form of monetization."),
    said("earning money", "Please do not use this to make money."),
    said("selling pictures", "Selling the generated images is forbidden."),
    said("no selling", "No selling of this checkpoint, of merges or of what they draw."),
    said("derivatives", "You may not share merges or any other derivative of this model."),
    said("training", "It is not allowed to train other models on top of this one."),
    said("commercial licensing elsewhere", "For commercial licensing, contact sales@leaves.example."),
    said("an enterprise licence", "Companies need an enterprise license, see our website."),
    said("a revenue cap", "Free for companies with less than $1M in annual revenue."),
    said("a fee", "A license fee applies to any use in a business."),
    said("weights under another licence", "The code is Apache 2.0. The model weights are released under a separate agreement."),
    said("weights under CC", "Code: Apache-2.0. Weights: CC BY-NC-SA 4.0."),
    said("a badge", "![license](https://img.shields.io/badge/license-CC--BY--NC--4.0-lightgrey)"),
    said("a link of Creative Commons", "[License](https://creativecommons.org/licenses/by-nc-nd/4.0/)"),
    said("the licence of the base", "As a derivative, this model falls under the FLUX.1 [dev] Non-Commercial License."),
    said("a research licence of another", "The text encoder keeps the Qwen Research License."),
    said("not in the EU", "You may not use this model if you are located in the European Union."),
    said("evaluation", "The weights are a preview, licensed for evaluation only and not for production."),
    said("revocable", "We may ask you to stop using the model at any time; all rights reserved."),
)

DISGUISED: tuple[Case, ...] = (
    said("a hyphen that does not break", "For non‑commercial use only."),
    said("a dash", "For non–commercial use only."),
    said("a blank of no width", "For non-com\u200bmercial use only."),
    said("a soft hyphen", "For non-com\u00admercial use only."),
    said("a foreign letter", "For nоn-cоmmercial use only."),
    said("wide letters", "For ｎｏｎ－ｃｏｍｍｅｒｃｉａｌ use only."),
    said("mathematical letters", "For 𝗻𝗼𝗻-𝗰𝗼𝗺𝗺𝗲𝗿𝗰𝗶𝗮𝗹 use only."),
    said("spaced letters", "N O N - C O M M E R C I A L   U S E   O N L Y"),
    said("entities", "For non&#45;commercial use only."),
    said("a broken line", "For non-\ncommercial use\nonly."),
    said("bold", "For **non**-**commercial** use only."),
    said("markup", "For <b>non</b>-<i>commercial</i> use only."),
    said(
        "a long link",
        "[Non-Commercial](https://leaves.example/a/rather/long/address/of/a/page/that/goes/on/and/on/terms.html) terms apply.",
    ),
    said("a comment", "<!-- commercial use is forbidden -->"),
    said("a fold", "<details><summary>License</summary>\n\nNo commercial use.\n\n</details>"),
    said("a quotation", "> No commercial use"),
    said("the end of a long card", "A leaf. " * 5_000 + "\n\nCommercial use is not permitted."),
    said("backwards", "\u202eesu laicremmoc on\u202c"),
    said("a footnote", "Use it as you like[^1].\n\n[^1]: Except for commercial purposes."),
    said("after a promise", "Free for everybody, without restrictions! (Commercial use excluded.)"),
)

TONGUES: tuple[Case, ...] = (
    said("Chinese", "本模型仅供学术研究使用，禁止商用。"),
    said("Chinese of Taiwan", "本模型僅供研究，不得用於商業用途。"),
    said("Japanese", "商用利用は禁止です。研究目的に限ります。"),
    said("Korean", "비상업적 용도로만 사용할 수 있습니다."),
    said("German", "Nur für nicht-kommerzielle Zwecke. Gewerbliche Nutzung ist untersagt."),
    said("French", "Usage commercial interdit ; réservé à la recherche."),
    said("Spanish", "Prohibido el uso comercial."),
    said("Portuguese", "Proibido o uso comercial deste modelo."),
    said("Italian", "È vietato l'uso commerciale."),
    said("Russian", "Коммерческое использование запрещено."),
    said("Polish", "Zakaz użytku komercyjnego."),
    said("Dutch", "Uitsluitend voor niet-commercieel gebruik."),
    said("Turkish", "Ticari kullanım yasaktır."),
    said("Vietnamese", "Chỉ dùng cho mục đích phi thương mại."),
    said("Arabic", "يُمنع الاستخدام التجاري."),
)

CLEAN: tuple[Case, ...] = (
    harmless("both welcome", "Both research and commercial use are welcome."),
    harmless("free for commercial use", "Free for commercial use under Apache 2.0."),
    harmless("permission not needed", "You can use it commercially; no permission is needed."),
    harmless("no restrictions", "There are no restrictions on commercial use."),
    harmless("not only research", "Made not only for research, but for commercial products as well."),
    harmless("not limited to research", "Use is not limited to research."),
    harmless("an evaluation that only covers", "Our evaluation only covers English prompts."),
    harmless("a benchmark that only has", "The academic benchmark only has two hundred prompts."),
    harmless("no key for a demo", "No API key is needed to try our hosted demo."),
    harmless("not advice", "Nothing in this card is legal advice or advice for production."),
    harmless("commercials", "Trained on storyboards of television commercials that we drew ourselves."),
    harmless("a research paper", "See our research paper for details; the code of the evaluation is on our page."),
    harmless(
        "another model's licence", "Unlike FLUX.1 [dev], which comes under a non-commercial license, this model is Apache-2.0."
    ),
    harmless("a faster model", "Faster than FLUX.1-dev in our benchmark at the same number of steps."),
    harmless(
        "a table of others", "| Model | Parameters | FID |\n|---|---|---|\n| FLUX.1-dev | 12 B | 9.1 |\n| this model | 8 M | 30.2 |"
    ),
    harmless("limits", "It does not draw legible text, and faces may look odd. Do not expect photographs."),
    harmless("use restrictions of ethics", "Please do not use it to create hateful or harmful content."),
    harmless(
        "links",
        "[Our page](https://leaves.example/), [the paper](https://arxiv.org/abs/2401.00001), [a demo](https://huggingface.co/spaces/a/leaves).",
    ),
    harmless(
        "a citation",
        "```bibtex\n@article{leaves2024, title={Leaves for all}, journal={Journal of Commercial Art}, year={2024}}\n```",
    ),
    harmless(
        "the licence restated",
        "## License\n\nCode and weights are released under the [Apache License 2.0](LICENSE), which "
        "permits commercial use, modification and distribution.",
    ),
    harmless("an API", "The model is also available through our API and as a hosted service."),
    harmless("personal thanks", "A personal thank-you to everybody who only ever drew leaves for it."),
    harmless("German praise", "Kommerzielle Nutzung ist ausdrücklich erlaubt."),
    harmless("Chinese praise", "本模型采用 Apache-2.0 许可证，可免费商用。"),
    harmless("an offer of help", "For questions about commercial support write to help@leaves.example."),
    harmless("sold prints", "We have already sold prints made with it, and so may you."),
)

CASES = (*ENGLISH, *DISGUISED, *TONGUES, *CLEAN)
