"""What counts as one token in the Penn Treebank style of the COCO caption evaluation.

That evaluation runs the lexer of Stanford CoreNLP 3.4.1. At every place of a text all rules are
tried; the one that reads furthest wins, the earlier one among equals. What a rule asks to follow
its token counts as read, although the next token starts there. RULES is that list, written anew
and checked against the lexer itself; what makes a difference only for removed punctuation is left
out.
"""

from collections.abc import Callable
from typing import NamedTuple

import regex


class Rule(NamedTuple):
    """A pattern whose first group is the token, and how that token is spelled."""

    pattern: regex.Pattern
    spell: Callable[[str], str]


def _rule(token: str, before: str = "", spell: Callable[[str], str] = str) -> Rule:
    """Reads `token` where `before` follows it."""
    return Rule(regex.compile(f"({token})(?:{before})"), spell)


def _any_case(words: str) -> str:
    """The alternatives of a list, in capitals or not; character classes take either case too."""
    return f"(?i:{'|'.join(words.split())})"


def _capitalised(words: str) -> str:
    """As `_any_case`, but the first letters must be capitals."""
    return "|".join(f"{word[0]}(?i:{word[1:]})" for word in words.split())


def word(token: str) -> str:
    """A word as it is spelled, or the two that the treebank takes it for."""
    return SPLIT.get(token.lower()) or _without_soft_hyphens(token)


def _without_soft_hyphens(token: str) -> str:
    return token.replace("\xad", "") or "-"


def _without_spaces(token: str) -> str:
    """Spaces do not break, brackets have names: what tokens with spaces in them look like."""
    return token.replace(" ", "\xa0").replace("(", "-LRB-").replace(")", "-RRB-")


def _ampersand(token: str) -> str:
    return regex.sub("&amp;", "&", token, flags=regex.IGNORECASE)


def _table(pairs: dict[str, str]) -> Callable[[str], str]:
    return lambda token: pairs.get(token, token)


def _quote(token: str) -> str:
    return regex.sub("(?i)&apos;", "'", regex.sub('(?i)"|&quot;', "''", token)).translate(QUOTES)


def _dashes(token: str) -> str:
    return "--" if len(token) in (3, 4) else token


# Characters. Those between 80 and 9F are quotes and dashes of Windows texts that were misread.
SPACE = r"[ \t\xa0\u2000-\u200A\u3000]"
GAP = r"[ \t\xa0\u2000-\u200A\u3000\n]"
LETTER = r"(?:[\p{L}\xad\u02C2-\u02FF]|(?![\u0F00-\uFFFF])\p{M}|&[aeiouAEIOU](?:acute|grave|uml);)"
LETTER_OR_DIGIT = r"[\p{L}\d]"
PLAIN = "[A-Za-z0-9]"
APOSTROPHE = r"(?:['\x92\u2019]|(?i:&apos;))"
ANY_APOSTROPHE = r"(?:['`\x91\x92\u2018\u2019\u201B]|(?i:&apos;))"
HYPHEN = r"[-_\u058A\u2010\u2011]"
CLAUSE_END = r"[,;:\u3001]"
QUOTE = rf"[`\x91-\x94\u2018-\u201F\u2039\u203A\xab\xbb]{{1,2}}|{APOSTROPHE}"
QUOTES = str.maketrans(
    dict.fromkeys("\x91\u2018\u201b\u2039", "`")
    | dict.fromkeys("\x92\u2019\u203a", "'")
    | dict.fromkeys("\x93\u201c\xab", "``")
    | dict.fromkeys("\x94\u201d\xbb", "''")
)
BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
CURRENCIES = {"¢": "cents", "£": "#", "¤": "$", "\x80": "$", "₠": "$", "€": "$"}
FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
SYMBOLS = (
    r"[+%&~^|\\¦§¨©¬®¯°-º\xd7\xf7\u0387\u05BE\u05C0\u05C3\u05C6\u05F3\u05F4\u0600-\u0603\u0606-\u060A"
    r"\u060C\u0614\u061B\u061E\u066A\u066D\u0703-\u070D\u07F6-\u07F8\u0964\u0965\u0E4F\u1FBD\u2016"
    r"\u2017\u2020-\u2023\u2030-\u2038\u203B\u203E-\u2042\u2044\u207A-\u207F\u208A-\u208E"
    r"\u2100-\u214F\u2190-\u21FF\u2200-\u2BFF\u3012\u30FB\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40"
    r"\uFF5B-\uFF65]"
)

# Words and numbers.
SPLIT = {
    "cannot": "can not",
    "gonna": "gon na",
    "gotta": "got ta",
    "lemme": "lem me",
    "gimme": "gim me",
    "wanna": "wan na",
}
WORD = rf"{LETTER}(?:{LETTER}|\d)*(?:[.!?]{LETTER}(?:{LETTER}|\d)*)*"
NUMBER = r"[-+]?(?:\d*(?:[.:,\xad\u066B\u066C]\d+)+|\d+)"
FRACTION = r"(?:\d{1,4}[- \xa0])?\d{1,4}(?:\\?/|\u2044)\d{1,4}"
PHONE = (
    r"(?:\(\d{2,3}\)[ \xa0]?|(?:\+\+?)?(?:\d{2,4}[- \xa0])?\d{2,4}[- \xa0])"
    r"\d{3,4}[- \xa0]?\d{3,5}"
)
ENDING = rf"{APOSTROPHE}(?:[msdMSD]|{_any_case('re ve ll')})"
NOT = rf"[nN]{ANY_APOSTROPHE}[tT]"
WITH_APOSTROPHE = (
    rf"{APOSTROPHE}[nN]{APOSTROPHE}?|[lLdDjJ]{APOSTROPHE}",
    rf"{_any_case('Dunkin somethin ol')}{APOSTROPHE}",
    rf"{APOSTROPHE}(?:{_any_case('em till? cause')}|[2-9]0[sS])",
    rf"[A-HJ-XZn]{ANY_APOSTROPHE}\p{{L}}{{2,}}",
    rf"\p{{L}}+[aeiouyAEIOUY]{ANY_APOSTROPHE}[aeiouA-Z]\p{{L}}*",
    _any_case(r"cont'd\.? nor'easter c'mon e'er s'mores ev'ry li'l nat'l"),
    rf"(?i:Cap{APOSTROPHE}n|c{APOSTROPHE}est)",
)
# A French article may stand before either half: d'Avignon.
COMPOUND = (
    rf"(?:[dDoOlL]{ANY_APOSTROPHE}{LETTER_OR_DIGIT})?{LETTER_OR_DIGIT}+"
    rf"(?:{HYPHEN}(?:[dDoOlL]{ANY_APOSTROPHE}{LETTER_OR_DIGIT})?{LETTER_OR_DIGIT}+)*"
)
INITIALS = (
    r"(?:[A-Za-z](?:\.[A-Za-z])+|(?i:(?:Canada|Sino|Korean|EU|Japan|non)-U\.S)"
    r"|(?i:U\.S\.-(?:U\.K|U\.S\.S\.R)))"
)
HYPHENATED = rf"{PLAIN}[A-Za-z0-9.,\xad]*(?:-(?:{INITIALS}\.|[A-Za-z0-9\xad]+))+"
_SLASHED = rf"{PLAIN}+(?:-[A-Za-z]+){{0,2}}"
SLASHED = rf"{_SLASHED}(?:\\?/{_SLASHED}){{1,2}}"
JOINED_CAPITALS = r"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"

# Abbreviations keep their period. What follows a letter outside the brackets is one only with that
# letter as a capital.
DATES = _any_case("Jan Feb Mar Apr Jun Jul Aug Sept? Oct Nov Dec Mon Tues? Wed Thu Thurs Fri")
STATES = _any_case("""
    Ala Ariz Calif Colo Conn Ct Dak Fla Ga Ind Kans? Ky Md Mich Minn Mo Mont Neb Nev Okla Penn Tenn
    Va Vt Wisc? Wyo
""")
CAPITAL_STATES = (
    "A(?i:z|rk)|D(?i:el)|I(?i:ll)|L(?i:a)|M(?i:ass|iss)|O(?i:re)|P(?i:a)|T(?i:ex)|W(?i:ash)"
)
COMPANIES = _any_case("Inc Cos? Corp Pp?t[ye]s? Ltd Plc Rt Bancorp Bhd Assn Univ Intl Sys Bros")
OTHERS = _any_case(r"Jr Sr Esq Ed\.D Ph\.D Blvd Rd Bldg tel est ext sq etc al seq")
TITLES = _any_case("""
    Mrs? Ms Drs? Profs? Sens? Reps? Attys? Govs? Supts? Messrs Lt Lieut Col Gen Adm Rev Maj Sgt Cpl
    Pvt Capt Brig Co?mdr Pfc Spc Sfc Pres Hon Det Adj Adv Asst Assoc Ens Insp Mlle Mme Msgr
""")
NAMES = _any_case(
    r"Ste? Ave Mt Ft vs cf Ph a\.k\.a Alex Wm Jos Cie Treas Invt Elec Natl M[ft]g Dept"
)
# The first kind is known also before a letter that follows without a space.
ABBREVIATIONS = (
    rf"(?:{DATES}|{STATES}|{CAPITAL_STATES}|{COMPANIES}|{OTHERS})\.",
    rf"(?:{INITIALS}|{TITLES}|{NAMES}|[A-Za-z])\.",
)
BEFORE_NUMBER = _any_case("ca figs? prop nos? art pp op")
# Sentences begin with these: a single letter before them is no abbreviation.
SENTENCE_START = _capitalised(r"""
    About According Additionally After An A As At But Did During Earlier He Her Here How However
    If In It Last Many More Mr\. Ms\. Now Once One Other Our She Since So Some Such That The Their
    Then There These They This We When While What Who Why Yet You
""")

# Things of the web.
TAG_NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
TAG = (
    rf"<(?:[!?][A-Za-z-][^>\n]*|/{TAG_NAME}"
    rf"|{TAG_NAME}(?: +{TAG_NAME}(?: *= *(?:'[^'\n]*'|\"[^\"\n]*\"|{TAG_NAME}))?)* */?) *>"
)
URL = r"(?i:https?)://[^ \t\n\"<>|(){}]+[^ \t\n\"<>|.!?(){},-]"
PATH = r"/[^ \t\n\"<>|()]+[^ \t\n\"<>|.!?(){},-]"
HOSTS = (
    r"(?i:www)\.(?:[^ \t\n\"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}",
    # Neither capitals nor digits: the lexer has a range of characters where a hyphen was meant.
    rf"(?:[^ \t\n\"`'<>|!?(){{}}$,-_]+\.)+{_any_case('com net org edu')}",
)
EMAIL = (
    r"(?:(?i:&lt;)|<)?[A-Za-z0-9][^ \t\n\"<>|()\xa0{}]*@"
    r"(?:[^ \t\n\"<>|(){}.\xa0]+\.)*[^ \t\n\"<>|(){}.\xa0]+(?:(?i:&gt;)|>)?"
)
FILE = rf"(?:{LETTER}|\d)+(?:\.(?:{LETTER}|\d)+)*\." + _any_case("""
    bat bmp c class cgi cpp dll docx? exe gif gz h html? jar java jpe?g mov mp3 pdf php pl png ppt
    ps py sql tar txt wav x(?:ml)? zip
    """)
SMILEY = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
FACE = r"[\^x=~<>]\.\[\^x=~<>]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)"

RULES = (
    _rule(r"[cC]\+\+|[cCfF]#"),
    _rule("'[tT]", _any_case("is was")),
    _rule(TAG, spell=_without_spaces),
    _rule("(?i:&(?:MD|mdash|ndash);)", spell=lambda token: "--"),
    _rule("(?i:&amp;)", spell=_ampersand),
    _rule("(?i:&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);)"),
    _rule(WORD, ENDING, _without_soft_hyphens),
    _rule(r"[A-Za-z\xad]*[A-MO-Za-mo-z]\xad*", NOT, _without_soft_hyphens),
    _rule(WORD, spell=word),
    *map(_rule, WITH_APOSTROPHE),
    _rule(f"[yY]{APOSTROPHE}", r"\p{L}"),
    *map(_rule, (URL, EMAIL, *HOSTS, *(host + PATH for host in HOSTS))),
    _rule(rf"@[A-Za-z_][A-Za-z_0-9]*|#{LETTER}+"),
    _rule(ENDING, "[^A-Za-z]", _quote),
    _rule(r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"),
    _rule(NUMBER, spell=_without_soft_hyphens),
    _rule(r"[\u207A\u207B\u208A\u208B]?(?:[\u2070\xb9\xb2\xb3\u2074-\u2079]+|[\u2080-\u2089]+)"),
    _rule(FRACTION, spell=_without_spaces),
    _rule(r"[\xbc-\xbe\u2153-\u215E]", spell=_table(FRACTIONS)),
    _rule("(?i:-(?:[LR][RCS]B)-|C\\.D\\.s|pro-|anti-)"),
    _rule("(?i:S(?:&|&amp;)(?:P-500|Ls))", spell=_ampersand),
    _rule(SLASHED),
    _rule(r"[A-Z]*\$|#"),
    _rule(
        r"[¢-¥\x80\u20A0\u20A4\u20AC\u060B\u0E3F\uFFE0\uFFE1\uFFE5\uFFE6]", spell=_table(CURRENCIES)
    ),
    _rule("[A-Za-z]", rf"\.{GAP}+(?:{SENTENCE_START}|{TAG}){GAP}"),
    _rule(rf"{BEFORE_NUMBER}\.", rf"{GAP}?\d"),
    _rule(ABBREVIATIONS[0], "(?s:..)?"),
    _rule(ABBREVIATIONS[1]),
    _rule(INITIALS, GAP),
    _rule(f"{APOSTROPHE}[0-9][0-9]", GAP),
    _rule(FILE, rf"{GAP}|[.?!,]"),
    *(
        _rule(rf"(?:{token})\.", CLAUSE_END, spell)
        for token, spell in (
            (WORD, _without_soft_hyphens),
            (HYPHENATED, _without_soft_hyphens),
            (COMPOUND, str),
            (JOINED_CAPITALS, _ampersand),
        )
    ),
    _rule(PHONE, spell=_without_spaces),
    _rule("\"|(?i:&quot;)|''", spell=_quote),
    _rule("<|(?i:&lt;)", spell=lambda token: "<"),
    _rule(">|(?i:&gt;)", spell=lambda token: ">"),
    _rule(SMILEY, "[^A-Za-z0-9]", _without_spaces),
    _rule(FACE, spell=_without_spaces),
    _rule(r"[()\[\]{}]", spell=_table(BRACKETS)),
    _rule("-+", spell=_dashes),
    _rule(r"\.{3,5}|\.[ \xa0](?:\.[ \xa0])+\.", spell=lambda token: "..."),
    _rule(r"@+|#+|_+|\*+|(?:\\\*){1,3}|[?!]+|=|/"),
    _rule(rf"{CLAUSE_END}|[.¡¿\u037E\u0589\u061F\u06D4\u0700-\u0702\u07FA\u3002]"),
    _rule(HYPHENATED, spell=_without_soft_hyphens),
    _rule(COMPOUND),
    _rule(JOINED_CAPITALS, spell=_ampersand),
    _rule("'", rf"[A-Za-z](?!{GAP}).|[AaIiUu]{GAP}", _quote),
    _rule(QUOTE, spell=_quote),
    _rule(ENDING, spell=_quote),
    _rule(NOT, spell=_quote),
    _rule("<<|>>"),
    _rule(SYMBOLS),
    _rule(rf"{SPACE}|(?i:&nbsp;)", spell=lambda token: ""),
)
