"""What no prompt may ask for, as data: words of two kinds that may not meet in one prompt, and words that are refused alone.

Words are written plainly; `policy` reads prompts and these lists the same way (accents, cases, look-alikes). A phrase is joined by
underscores. These lists are a first layer: they know no context and few languages, and say nothing of violence, hate, or persons.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Words for minors and for sexual content that are clear in any text; `_here` are those that count within one language only."""

    minors: str = ""
    sexual: str = ""
    minors_here: str = ""
    sexual_here: str = ""


# Sexual content with minors: refused where a word of each kind stands in one prompt, in whatever order and language. Words for
# either alone are in daily use. "girl" and "boy" name adults as well, so they count only with a word that makes them children.
MINORS_AND_SEXUAL = {
    "en": Language(
        minors="""child children childs kid kids kiddo kiddie kiddies kidz minor minors toddler toddlers infant
            infants baby babies newborn newborns preteen preteens pre_teen tween tweens teen teens teenage teenaged
            teenager teenagers underage underaged under_age under_aged adolescent adolescents juvenile schoolgirl
            schoolgirls schoolboy schoolboys school_girl school_girls school_boy school_boys schoolchild
            schoolchildren schoolkid schoolkids preschooler preschoolers kindergartener kindergarteners little_girl
            little_girls little_boy little_boys young_girl young_girls young_boy young_boys small_girl small_boy
            tiny_girl tiny_boy baby_girl baby_boy grade_schooler middle_schooler high_schooler under_18 under_eighteen
            loli lolis shota shotas prepubescent pubescent""",
        sexual="""sex sexual sexually sexualised sexualized sexy sexiest nude nudes nudez nudity nudist naked
            nakedness erotic erotica erotically porn pr0n porno pornos pornographic pornography nsfw hentai ecchi
            topless bottomless undressed undressing undress unclothed disrobed disrobing no_clothes without_clothes
            wearing_nothing fetish lingerie thong genitals genitalia genital penis penises vagina vaginas vulva pussy
            nipple nipples boobs orgasm orgasms masturbate masturbates masturbating masturbation blowjob handjob
            cumshot intercourse fuck fucks fucked fucking horny bdsm bondage stripper strippers striptease upskirt
            panties seductive seductively lewd lewds xxx x_rated xrated provocative_pose spread_legs spreading_legs
            micro_bikini see_through_clothes bare_breasts bare_chested_woman lascivious aroused""",
        sexual_here="rape raped raping cum",
    ),
    "de": Language(
        minors="""kinder kindern kleinkind kleinkinder saugling sauglinge kleines_madchen kleine_madchen kleiner_junge
            kleine_jungen minderjahrig minderjahrige minderjahriger minderjahrigen minderjahriges jugendliche
            jugendlicher jugendlichen schulmadchen schulerin schulkind schulkinder""",
        minors_here="kind kindes kindchen babys teenie teenies madchen",
        sexual="""nackt nackte nackter nacktes nackten nacktem halbnackt halbnackte unbekleidet unbekleidete
            entkleidet entbloesst entblosst erotisch erotische erotisches erotischen sexuell sexuelle sexuelles
            sexuellen pornografisch pornografie pornographie nacktfoto nacktfotos nacktbild nacktbilder reizwasche""",
    ),
    "fr": Language(
        minors="""enfants fillette fillettes bebe bebes petite_fille petites_filles petit_garcon petits_garcons
            adolescente adolescentes ecoliere ecolieres collegienne collegiennes lyceenne lyceennes nourrisson
            nourrissons""",
        minors_here="enfant gamin gamins gamine gamines mineur mineure mineurs mineures ado ados ecolier ecoliers",
        sexual="""erotique erotiques sexuel sexuelle sexuels sexuelles pornographique pornographie denude denudee
            denudes denudees nudite""",
        sexual_here="nu nue nus nues seins lascive",
    ),
    "es": Language(
        minors="""nino nina ninos ninas adolescentes menor_de_edad menores_de_edad colegiala colegialas chiquilla
            chiquillas infantiles""",
        minors_here="menor menores adolescente infantil",
        sexual="""desnudo desnuda desnudos desnudas erotico erotica eroticos eroticas sexual sexuales pornografico
            pornografica pornografia lenceria sin_ropa""",
    ),
    "pt": Language(
        minors="""crianca criancas menino meninos menina meninas garotinha garotinhas garotinho menor_de_idade
            menores_de_idade""",
        minors_here="menor menores adolescente",
        sexual="erotico erotica sexual sexuais pornografia sem_roupa",
        sexual_here="nu nua nus nuas pelado pelada pelados peladas despido despida despidos despidas",
    ),
    "it": Language(
        minors="""bambino bambina bambini bambine ragazzina ragazzine ragazzino ragazzini neonato neonata neonati
            minorenne minorenni adolescente adolescenti scolaretta scolarette""",
        sexual="""erotico erotica erotici erotiche sessuale sessuali pornografico pornografica pornografia spogliato
            spogliata svestita""",
        sexual_here="nudo nuda nudi nude",
    ),
    "nl": Language(
        minors="""kinderen kleuter kleuters peuter peuters klein_meisje kleine_meisjes kleine_jongen minderjarig
            minderjarige schoolmeisje""",
        minors_here="kind meisje meisjes tiener tieners",
        sexual="naakt naakte ontbloot ontblote erotisch erotische seksueel seksuele seks pornografie",
    ),
    "pl": Language(
        minors="""dziecko dziecka dzieci dziewczynka dziewczynki chlopiec chlopcy niemowle nieletnia nieletni
            nastolatka nastolatki""",
        sexual="erotyczny erotyczna erotyczne seksualny seksualna seksualne seksowna pornografia",
        sexual_here="nago nagi naga nagie nagich",
    ),
    "ru": Language(
        minors="""ребенок ребенка ребенком дети детей детьми девочка девочки девочек девочку мальчик мальчика мальчики
            мальчиков школьница школьницы школьник младенец младенца малолетка малолетки малолетние подросток
            подростка подростки несовершеннолетняя несовершеннолетние детский детская детское""",
        sexual="""голый голая голое голые голых голую обнаженный обнаженная обнаженное обнаженные обнаженных порно
            порнография секс сексуальный сексуальная сексуальное сексуальные эротика эротический эротическая
            эротическое эротические""",
    ),
}

# The same of languages that write no spaces: found anywhere in a text.
WITHOUT_SPACES = Language(
    minors="""儿童 兒童 小孩 孩子 幼女 幼童 婴儿 嬰兒 女童 男童 少女 少年 未成年 萝莉 蘿莉 小学生 中学生 小學生 中學生
        子供 子ども こども 幼児 女児 男児 赤ちゃん 女子高生 園児 ロリータ ロリっ
        어린이 아동 소녀 소년 미성년 초등학생 중학생""",
    sexual="""裸体 裸體 裸照 全裸 赤裸 半裸 裸の 色情 情色 性感 性爱 性愛 做爱 做愛 淫 ヌード セックス ポルノ エッチ 下着姿
        누드 알몸 나체 섹시 섹스 포르노 성인물""",
)

# Words in daily use that hold a word of the lists: what stands here is no word of the lists, unless one of the other kind stands
# right before it ("nude baby blue eyes" is asked for with another order of words by who means no harm).
HARMLESS = """
    kid_goat kid_goats goat_kid goat_kids kid_gloves kid_leather kid_rock kid_cudi billy_the_kid karate_kid captain_kidd
    baby_blue baby_pink baby_yellow baby_green baby_powder baby_breath baby_grand baby_bump baby_shower baby_oil baby_hair
    baby_steps baby_boomer baby_boomers baby_carrots baby_corn baby_spinach baby_bok baby_potatoes baby_yoda baby_groot
    baby_elephant baby_elephants baby_dragon baby_dragons baby_goat baby_goats baby_bird baby_birds baby_owl baby_owls baby_panda
    baby_penguin baby_penguins baby_fox baby_foxes baby_seal baby_turtle baby_turtles baby_mole baby_mice baby_mouse baby_rat
    baby_hedgehog baby_dinosaur baby_deer baby_bear baby_cat baby_duck baby_ducks baby_animal baby_animals baby_rabbit baby_squirrel
    newborn_star newborn_stars newborn_planet infant_star juvenile_bird juvenile_eagle juvenile_gull teen_vogue
    ursa_minor asia_minor a_minor b_minor c_minor d_minor e_minor f_minor g_minor minor_key minor_scale minor_chord minor_chords
    minor_planet minor_detail minor_details minor_league minor_scratches minor_imperfections minor_flaws minor_arcana canis_minor
    nude_lipstick nude_lipsticks nude_lip nude_lips nude_heels nude_shoes nude_pumps nude_tone nude_tones nude_toned nude_palette
    nude_color nude_colors nude_colored nude_colour nude_colours nude_coloured nude_shade nude_shades nude_nail nude_nails
    nude_makeup nude_pink nude_beige nude_background nude_tights nude_stockings nude_polish nude_eyeshadow nude_mouse nude_mice
    naked_eye naked_cake naked_cakes naked_mole juvenile_naked_mole baby_naked_mole naked_juice
    naked_neck naked_tree naked_trees naked_branches naked_flame naked_lunch
    naked_gun naked_oat naked_barley
    same_sex opposite_sex either_sex sex_education sex_ed sex_ratio sex_chromosome sex_chromosomes sex_pistols
    sex_and_the_city sexual_dimorphism sexual_reproduction sexual_selection sexual_health
    pussy_willow pussy_willows pussy_cat pussy_riot pussy_foot magna_cum cum_laude summa_cum
    rape_seed rape_field rape_fields rape_flower rape_flowers rape_blossom rape_blossoms rape_oil oilseed_rape field_of_rape
    fields_of_rape
    rape_of_europa rape_of_the rape_of_persephone rape_of_proserpina rape_of_proserpine
    pieds_nus pied_nu tete_nue tetes_nues mains_nues oeil_nu a_nu nu_metal nu_jazz nu_disco arbres_nus branches_nues
    ヌードル エッチング 누드톤
"""

# Refused alone: names of depictions of abuse. Each has hardly another use in a prompt for a picture.
ABUSE = """csam lolicon lolicons shotacon toddlercon pthc jailbait kinderporno kinderpornos kinderpornografie
    kinderpornographie kiddieporn kiddy_porn paedophile paedophiles paedophilia paedophilic pedophile pedophiles
    pedophilia pedophilic pedophilie pedofilia pedofilie педофилия педофил 儿童色情 兒童色情 児童ポルノ 아동포르노"""

# Refused alone: taking the clothes off a person on a picture that the caller brings, which that person did not agree to.
UNDRESSING = """nudify nudified nudifying nudifier deepnude deepnudes undress_her undress_him undress_them
    undress_this remove_her_clothes remove_his_clothes remove_their_clothes remove_her_clothing remove_his_clothing
    remove_their_clothing remove_the_clothes remove_all_clothes take_off_her_clothes take_off_his_clothes
    take_her_clothes_off revenge_porn deepfake_porn deepfake_nude deepfake_nudes"""

# Refused alone: sex with animals or with the dead, and filmed killing, which the hosts of such apps bar throughout.
BARRED = "bestiality zoophilia zoophile necrophilia necrophile snuff_film snuff_films snuff_porn snuff_movie"
