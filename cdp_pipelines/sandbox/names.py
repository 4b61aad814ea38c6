"""Words that the world is made of: names (Faker's lists, so that no list of real people is needed), cities, companies, titles.

Phone numbers come from ranges that the national regulators keep for fiction, and every mail domain is reserved (RFC 2606), so nothing
here reaches anybody: US 555-0100 to 555-0199 in any area code (NANPA), UK 020 7946 0xxx and 07700 900xxx (Ofcom), Germany 23125xxx and
others (Bundesnetzagentur), France 01 99 00 xx xx and 06 39 98 xx xx (Arcep).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from random import Random
from typing import Literal

from faker.providers.person.de_DE import Provider as German
from faker.providers.person.en_GB import Provider as British
from faker.providers.person.en_US import Provider as American
from faker.providers.person.fr_FR import Provider as French

Country = Literal["US", "GB", "DE", "FR"]

FIRST_NAMES: dict[Country, tuple[str, ...]] = {
    "US": (*American.first_names, "José", "María", "Renée", "Zoë", "Chloë", "Andrés"),
    "GB": (*British.first_names, "Siân", "Zoë"),
    "DE": (*German.first_names_male[::7], *German.first_names_female[::7], "Jürgen", "Björn", "Käthe", "Günther", "Jörg"),
    "FR": tuple(French.first_names),
}
LAST_NAMES: dict[Country, tuple[str, ...]] = {
    "US": (*American.last_names, "Núñez", "García-López", "O'Brien", "Peña", "St. James", "de la Cruz"),
    "GB": (*British.last_names, "O'Neill", "MacLeod", "Smith-Jones"),
    "DE": (*German.last_names, "Müller", "Schäfer", "Weiß", "von der Heide"),
    "FR": tuple(French.last_names),
}
NICKNAMES: dict[str, tuple[str, ...]] = {
    "Robert": ("Bob", "Rob"), "William": ("Bill", "Will"), "Richard": ("Rick", "Dick"), "James": ("Jim",), "Michael": ("Mike",),
    "Thomas": ("Tom",), "Christopher": ("Chris",), "Elizabeth": ("Liz", "Beth"), "Katherine": ("Kate", "Kathy"), "Margaret": ("Maggie", "Peggy"),
    "Jennifer": ("Jen",), "Joseph": ("Joe",), "Daniel": ("Dan",), "Matthew": ("Matt",), "Anthony": ("Tony",), "Andrew": ("Andy", "Drew"),
    "Steven": ("Steve",), "Stephen": ("Steve",), "Edward": ("Ed", "Ted"), "Charles": ("Charlie", "Chuck"), "Patricia": ("Pat", "Trish"),
    "Deborah": ("Debbie",), "Susan": ("Sue",), "Rebecca": ("Becky",), "Samantha": ("Sam",), "Samuel": ("Sam",), "Alexander": ("Alex",),
    "Benjamin": ("Ben",), "Nicholas": ("Nick",), "Jonathan": ("Jon",), "Joshua": ("Josh",), "Timothy": ("Tim",), "Gregory": ("Greg",),
    "Kenneth": ("Ken",), "Ronald": ("Ron",), "Donald": ("Don",), "David": ("Dave",), "Victoria": ("Vicky",), "Jessica": ("Jess",),
    "Kimberly": ("Kim",), "Cynthia": ("Cindy",), "Pamela": ("Pam",), "Theodore": ("Ted",), "Lawrence": ("Larry",), "Gerald": ("Jerry",),
    "Friedrich": ("Fritz",), "Johannes": ("Hannes",), "Alexandre": ("Alex",), "Frédéric": ("Fred",),
}  # fmt: skip
# City, state or region, postal code.
CITIES: dict[Country, tuple[tuple[str, str, str], ...]] = {
    "US": (
        ("New York", "NY", "10001"), ("Chicago", "IL", "60601"), ("San Francisco", "CA", "94105"), ("Austin", "TX", "78701"), ("Boston", "MA", "02108"),
        ("Seattle", "WA", "98101"), ("Denver", "CO", "80202"), ("Atlanta", "GA", "30303"), ("Portland", "OR", "97201"), ("Raleigh", "NC", "27601"),
        ("Minneapolis", "MN", "55401"), ("Phoenix", "AZ", "85004"), ("Columbus", "OH", "43215"), ("Miami", "FL", "33130"), ("Newark", "NJ", "07102"),
    ),
    "GB": (("London", "Greater London", "EC1A 1BB"), ("Manchester", "Greater Manchester", "M1 1AE"), ("Leeds", "West Yorkshire", "LS1 4DY"),
           ("Edinburgh", "Scotland", "EH1 1YZ"), ("Bristol", "England", "BS1 4DJ")),
    "DE": (("Berlin", "Berlin", "10115"), ("München", "Bayern", "80331"), ("Köln", "Nordrhein-Westfalen", "50667"), ("Hamburg", "Hamburg", "20095"),
           ("Düsseldorf", "Nordrhein-Westfalen", "40213")),
    "FR": (("Paris", "Île-de-France", "75001"), ("Lyon", "Auvergne-Rhône-Alpes", "69002"), ("Nîmes", "Occitanie", "30000"), ("Lille", "Hauts-de-France", "59000")),
}  # fmt: skip
STREETS: dict[Country, tuple[str, ...]] = {
    "US": ("{n} Main Street", "{n} Market Street", "{n} Oak Avenue\nSuite {m}", "{n} 5th Avenue, Floor {m}", "{n} Industrial Parkway"),
    "GB": ("{n} High Street", "{n} Station Road", "Unit {m}, {n} Mill Lane"),
    "DE": ("Hauptstraße {n}", "Bahnhofstr. {n}", "Goethestraße {n}"),
    "FR": ("{n} rue de la République", "{n} avenue Victor Hugo", "{n} bis, boulevard Voltaire"),
}
COUNTRY_SPELLINGS: dict[Country, tuple[str, ...]] = {
    "US": ("United States", "USA", "US", "United States of America"),
    "GB": ("United Kingdom", "UK", "GB", "England"),
    "DE": ("Germany", "Deutschland", "DE"),
    "FR": ("France", "FR"),
}
COMPANY_HEADS = ("North", "South", "East", "West", "Blue", "Red", "Silver", "Iron", "Oak", "Maple", "River", "Lake", "Stone", "Clear", "Bright", "High",
                 "Long", "Green", "Amber", "Copper", "Falcon", "Harbor", "Summit", "Winter", "Summer", "Star", "Sun", "Moon", "Cedar", "Granite")  # fmt: skip
COMPANY_TAILS = ("wind", "field", "gate", "bridge", "works", "ford", "mere", "dale", "port", "crest", "line", "path", "forge", "brook", "ridge", "point",
                 "light", "haven", "wood", "mark")  # fmt: skip
COMPANY_TRADES = ("Analytics", "Logistics", "Software", "Foods", "Health", "Energy", "Capital", "Robotics", "Media", "Insurance", "Textiles", "Systems",
                  "Consulting", "Pharma", "Packaging", "Motors", "Education", "Security", "Travel", "Labs")  # fmt: skip
COMPANY_FORMS: dict[Country, tuple[str, ...]] = {
    "US": ("Inc.", "LLC", "Corp.", "Corporation"), "GB": ("Ltd", "Limited", "plc"), "DE": ("GmbH", "AG", "GmbH & Co. KG"), "FR": ("SARL", "SAS", "S.A."),
}  # fmt: skip
INDUSTRIES = (
    "Technology",
    "Manufacturing",
    "Healthcare",
    "Finance",
    "Retail",
    "Education",
    "Transportation",
    "Energy",
    "Media",
    "Consulting",
)
TITLE_RANKS = ("", "", "Senior ", "Head of ", "Director of ", "VP ", "Lead ", "Junior ", "Assistant ")
TITLE_FIELDS = (
    "Marketing",
    "Sales",
    "Operations",
    "Finance",
    "Engineering",
    "Procurement",
    "Human Resources",
    "IT",
    "Product",
    "Customer Success",
    "Legal",
)
TITLE_ENDS = (" Manager", " Analyst", " Specialist", " Coordinator", "")
TITLES_ALONE = ("CEO", "CFO", "CTO", "Founder", "Owner", "Office Manager", "Software Engineer", "Consultant")
TITLES_ODD = (
    'VP, Sales & "Growth"', "Head of Marketing\nand Communications", "Data 🚀 Evangelist", "マーケティング部長", "Директор по продажам", "مدير المبيعات",
    "CEO; Founder | Owner", "Engineer\t(Platform)", "C++ / C# Developer", "=1+1 Analyst", "Leiter Einkauf, Größen ≥ 10 €", "Line one\r\nLine two",
    ("Senior Vice President of Global Strategic Partnerships, Alliances, Ecosystem Development and Channel Enablement for Europe, the Middle East "
     "and Africa (acting)"),
)  # fmt: skip
LEAD_SOURCES = ("Web", "Webinar", "Trade Show", "Referral", "Advertisement", "Partner", "Purchased List", "Other")
MAIL_PROVIDERS = ("mail.example.com", "post.example.net", "inbox.example.org")

# Country code, prefix of the national number, digits that follow, how many numbers.
_FICTION: dict[Country, tuple[tuple[str, int, int], ...]] = {
    "GB": (("7700900", 3, 1000), ("2079460", 3, 1000), ("1632960", 3, 1000)),
    "DE": (
        ("3023125", 3, 1000),
        ("4066969", 3, 1000),
        ("6990009", 3, 1000),
        ("2214710", 3, 1000),
        ("8999998", 3, 1000),
        ("17139200", 2, 100),
    ),
    "FR": (("639980", 3, 1000), ("19900", 4, 10_000), ("639981", 3, 1000), ("353019", 3, 1000)),
}
_AREA_CODES = (
    212, 201, 202, 203, 205, 206, 207, 208, 209, 210, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234, 239, 240, 248, 251, 252,
    253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320,
    321, 323, 325, 330, 331, 334, 336, 337, 339, 347, 351, 352, 360, 361, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415,
    417, 419, 423, 424, 425, 432, 434, 435, 440, 443, 469, 478, 479, 480, 484, 501, 502, 503, 504, 505, 507, 508, 509, 510, 512, 513, 515, 516,
    517, 518, 520, 530, 540, 541, 551, 559, 561, 562, 563, 567, 570, 571, 573, 574, 580, 585, 586, 601, 602, 603, 605, 606, 607, 608, 609, 610,
    612, 614, 615, 616, 617, 618, 619, 620, 623, 626, 630, 631, 636, 641, 646, 650, 651, 660, 661, 662, 678, 682, 701, 702, 703, 704, 706, 707,
    708, 712, 713, 714, 715, 716, 717, 718, 719, 720, 724, 727, 731, 732, 734, 740, 754, 757, 760, 763, 765, 770, 772, 773, 774, 775, 781, 785,
    786, 801, 802, 803, 804, 805, 806, 808, 810, 812, 813, 814, 815, 816, 817, 818, 828, 830, 831, 832,
)  # fmt: skip


def phone_number(country: Country, nth: int) -> str | None:
    """The nth fictional number of a country, as national digits: each number once, then None when the range is used up."""
    if country == "US":
        # 555-01xx is kept for fiction; only a very large world goes on into 555-02xx and up, which are not in use either.
        hundred, nth = divmod(nth, len(_AREA_CODES) * 100)
        nth = nth * 7919 % (len(_AREA_CODES) * 100)
        return f"{_AREA_CODES[nth // 100]}5550{hundred + 1}{nth % 100:02d}" if hundred < 9 else None
    for prefix, digits, size in _FICTION[country]:
        if nth < size:
            return f"{prefix}{nth:0{digits}d}"
        nth -= size
    return None


@lru_cache(16_384)
def ascii_letters(text: str) -> str:
    """Lower-case ASCII letters and digits of a name, as people put it in a mail address (Müller gives mueller, José gives jose)."""
    if text.isascii():
        return "".join(filter(str.isalnum, text.lower()))
    for letter, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.lower().replace(letter, plain)
    return "".join(c for c in unicodedata.normalize("NFD", text) if c.isascii() and c.isalnum())


def title(rng: Random) -> str:
    """A job title."""
    if rng.random() < 0.25:
        return rng.choice(TITLES_ALONE)
    rank, field = rng.choice(TITLE_RANKS), rng.choice(TITLE_FIELDS)
    return f"{rank}{field}" if rank.endswith("of ") else f"{rank}{field}{rng.choice(TITLE_ENDS)}"
