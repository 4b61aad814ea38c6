"""What the invented CRMs of `crm_dirt` are made of. Family names and companies are put together from syllables, so that there are many."""

from __future__ import annotations

# A given name and the short forms that people type instead.
GIVEN: tuple[tuple[str, ...], ...] = (
    ("Robert", "Bob", "Rob", "Bobby"), ("William", "Bill", "Will"), ("Elizabeth", "Liz", "Betty", "Beth"), ("Margaret", "Peggy", "Maggie"),
    ("Richard", "Dick", "Rick"), ("Katherine", "Kate", "Kathy"), ("Michael", "Mike"), ("James", "Jim"), ("John", "Jack"), ("Edward", "Ted", "Eddie"),
    ("Thomas", "Tom"), ("Patricia", "Pat", "Trish"), ("Jennifer", "Jenny"), ("Christopher", "Chris"), ("Joseph", "Joe"), ("Susan", "Sue"),
    ("Deborah", "Debbie"), ("Barbara", "Barb"), ("Daniel", "Dan"), ("Matthew", "Matt"), ("Anthony", "Tony"), ("Steven", "Steve"), ("Andrew", "Andy"),
    ("Timothy", "Tim"), ("Jeffrey", "Jeff"), ("Gregory", "Greg"), ("Benjamin", "Ben"), ("Samuel", "Sam"), ("Alexander", "Alex"), ("Victoria", "Vicky"),
    ("Rebecca", "Becky"), ("Theodore", "Theo"), ("Nicholas", "Nick"), ("Charles", "Charlie", "Chuck"), ("Frances", "Fran"), ("Ronald", "Ron"),
    ("Anna",), ("Laura",), ("Julia",), ("Peter",), ("Mark",), ("Paul",), ("Linda",), ("Karen",), ("Nora",), ("Ivan",), ("Olga",), ("Yusuf",), ("Amina",),
    ("Priya",), ("Rahul",), ("Mei",), ("Hiroshi",), ("Sofia",), ("Diego",), ("Hugo",), ("Clara",), ("Felix",), ("Greta",), ("Lars",), ("Ingrid",),
    ("Zoë",), ("José",), ("Renée",), ("Søren",), ("Jürgen",), ("Chloé",), ("Björn",), ("Núria",), ("André",), ("Łukasz",), ("Agnès",), ("Françoise",),
)  # fmt: skip
ONSETS = ("B", "Br", "C", "D", "Dr", "F", "G", "Gr", "H", "J", "K", "L", "M", "N", "P", "R", "S", "St", "T", "Tr", "V", "W")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "ü", "é", "ö")
MIDDLES = ("l", "ll", "m", "n", "nd", "r", "rt", "s", "ss", "t", "tt", "v", "ck", "nn")
ENDINGS = ("en", "er", "ing", "man", "son", "ley", "ton", "ski", "ez", "a", "o", "ard", "ell", "ova", "berg", "field")
COMPANY_ENDINGS = ("ix", "ora", "tec", "via", "nova", "plex", "era", "con", "sys", "mark", "gen", "flow", "base")
SECTORS = ("Tools", "Freight", "Dental", "Bakery", "Cloud", "Paper", "Optics", "Seeds", "Legal", "Marine", "Glass", "Mobility", "Film", "Steel")  # fmt: skip
FORMS = (" Inc", ", Inc.", " LLC", " Ltd", " Limited", " GmbH", " Corp", " S.A.", "")
SHARED = ("info", "sales", "contact", "accounts", "hello", "reception", "buchhaltung")
WEBMAIL = ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "yahoo.com", "gmx.net", "proton.me")
PLACEHOLDERS = ("none@none.com", "none@none.com", "noemail@noemail.com", "na@na.com", "unknown@unknown.org", "x@x.com")
FAKE_PHONES = ("000-000-0000", "0000000000", "(000) 000-0000", "999-999-9999", "123-456-7890", "1111111111", "n/a")
NOTHING = (None, None, None, "", " ", "N/A", "n/a", "null", "NULL", "None", "-", "#N/A")
TAGS = ("news", "crm", "shop", "list", "2024")
TITLES = ("Buyer", "Head of Purchasing", "CFO", "Engineer", "Office Manager", "Owner", "Analyst", None, None)
CITIES = ("Springfield", "Riverton", "Neustadt", "Lakewood", "Fairview", "Georgetown", "Ashland", "Milltown", None, None)
AREAS = (
    201, 202, 205, 206, 208, 210, 212, 213, 214, 215, 216, 218, 219, 225, 228, 229, 231, 240, 248, 251, 253, 254, 256, 260, 262, 267, 269, 270, 276,
    281, 301, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 330, 334, 336, 337, 347, 360, 361, 386, 401, 402,
    404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 417, 419, 423, 425, 432, 434, 435, 440, 478, 479, 480, 484, 501, 502, 503, 504, 505, 507, 508,
    509, 510, 512, 513, 515, 516, 517, 518, 520, 530, 540, 541, 559, 561, 562, 563, 567, 570, 571, 573, 574, 580, 585, 586, 601, 602, 603, 605, 606,
)  # fmt: skip
