"""Public keys as `sshd` reads them: a strict reader of `authorized_keys` entries, and repairs where only one is possible."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

_KIND = re.compile(r"[a-z0-9][a-z0-9.-]*(@[a-z0-9.-]+)?")
_BLANKS = " \t"
_LONGEST_BLOB = 8192
"""More base64 than any key that OpenSSH makes; what is longer is not tried to be repaired."""

_ALIASES = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}
_SHAPES = {
    "ssh-ed25519": "k",
    "ssh-rsa": "nn",
    "ssh-dss": "nnnn",
    "ecdsa-sha2-nistp256": "cp",
    "ecdsa-sha2-nistp384": "cp",
    "ecdsa-sha2-nistp521": "cp",
    "sk-ssh-ed25519@openssh.com": "ks",
    "sk-ecdsa-sha2-nistp256@openssh.com": "cps",
}
"""What follows the kind in a blob: k 32 bytes, n a number, c the curve's name, p a point on it, s any string."""

_POINT_BYTES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
_OPTIONS_ALONE = re.compile(
    r"cert-authority|restrict|(?:no-)?(?:agent-forwarding|port-forwarding|pty|user-rc|x11-forwarding|touch-required)|verify-required",
    re.IGNORECASE,
)
_OPTIONS_WITH_VALUE = re.compile(r"command|environment|expiry-time|from|permitlisten|permitopen|principals|tunnel", re.IGNORECASE)
_KIND_WORDS = {
    "ssh-ed25519": "ED25519",
    "ssh-rsa": "RSA",
    "ssh-dss": "DSA",
    "ecdsa-sha2-nistp256": "ECDSA",
    "ecdsa-sha2-nistp384": "ECDSA",
    "ecdsa-sha2-nistp521": "ECDSA",
    "sk-ssh-ed25519@openssh.com": "ED25519-SK",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA-SK",
}
_PRIVATE = re.compile(r"BEGIN\s+(?:[A-Z0-9]+\s+)*PRIVATE\s+KEY|PuTTY-User-Key-File-|b3BlbnNzaC1rZXktdjEA")
_SECRET_REFERENCE = re.compile(r"!secret\s+\S+\s*")
_RFC4716 = re.compile(r"-{2,5}\s*BEGIN SSH2 PUBLIC KEY\s*-{2,5}(.*?)(?:-{2,5}\s*END SSH2 PUBLIC KEY\s*-{2,5}|$)", re.DOTALL)
_PEM = re.compile(r"-{2,5}\s*BEGIN (RSA )?PUBLIC KEY\s*-{2,5}(.*?)(?:-{2,5}\s*END (?:RSA )?PUBLIC KEY\s*-{2,5}|$)", re.DOTALL)
_HEADER = re.compile(r'^\s*[A-Za-z][A-Za-z0-9-]*:\s*(?:"[^"]*"|[^\n]*)', re.MULTILINE)
_COMMENT_HEADER = re.compile(r'Comment:\s*(?:"([^"]*)"|([^\n]*))', re.IGNORECASE)
_QUOTES = "\"'`´“”„‟‘’‚‛«»‹›＂＇"
_INVISIBLE = "\u200b\u200c\u200d\u2060\u00ad"
_HARD_BLANKS = "\u00a0\u2007\u202f\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u3000"
_BETWEEN = "," + _QUOTES
"""What people put between two keys."""
_BEFORE_KEY = re.compile(rf"(?=(?:{'|'.join(map(re.escape, sorted(_SHAPES, key=len, reverse=True)))})[ \t]+AAAA)")
"""Where another key may begin, whatever stands before it."""
_DASHES = "-–—•*"
_BRACKETS = "[](){}<>"


class Problem(StrEnum):
    """What is wrong with an entry; the words travel in findings."""

    EMPTY = "empty"
    COMMENT = "comment"
    SECRET_REFERENCE = "secret-reference"  # noqa: S105 - the name of a problem
    PRIVATE_KEY = "private-key"
    QUOTES = "quotes"
    DASH = "dash"
    BRACKET = "bracket"
    BOM = "byte-order-mark"
    HARD_BLANK = "no-break-space"
    COMMA = "comma"
    WRAPPED = "wrapped"
    SEVERAL = "several-keys"
    LINES = "several-lines"
    RFC4716 = "rfc4716"
    PKCS8 = "pkcs8"
    NO_KIND = "no-type"
    WRONG_KIND = "wrong-type"
    BROKEN = "broken"
    OPTIONS = "options"
    NO_KEY = "no-key"


_SAYS = {
    Problem.EMPTY: "is empty",
    Problem.COMMENT: "is a comment, not a key",
    Problem.SECRET_REFERENCE: "is a reference to a secret that cannot be read from here",
    Problem.PRIVATE_KEY: "is a private key: it is compromised, since it lies in the settings and in every backup",
    Problem.QUOTES: "has quotes around it",
    Problem.DASH: "starts with a list dash",
    Problem.BRACKET: "has a bracket around it",
    Problem.BOM: "starts with an invisible byte order mark",
    Problem.HARD_BLANK: "has a no-break or invisible space in it",
    Problem.COMMA: "has a comma around it",
    Problem.WRAPPED: "is broken into several parts",
    Problem.SEVERAL: "holds several keys, of which only the first counts",
    Problem.LINES: "has more lines than the one with the key",
    Problem.RFC4716: "is in PuTTY's (RFC 4716) format",
    Problem.PKCS8: "is in PEM format",
    Problem.NO_KIND: "lacks the type in front of the key",
    Problem.WRONG_KIND: "names another type than its key has",
    Problem.BROKEN: "has a damaged or cut off key",
    Problem.OPTIONS: "has options in front of the key that sshd does not understand",
    Problem.NO_KEY: "is not a public key",
}


@dataclass(frozen=True)
class Entry:
    """A key line that sshd takes: options as written (or empty), kind, base64 and comment."""

    options: str
    kind: str
    blob_base64: str
    comment: str

    @property
    def line(self) -> str:
        """The whole line in its normal form."""
        return " ".join(part for part in (self.options, self.kind, self.blob_base64, self.comment) if part)

    @property
    def public(self) -> str:
        """The bare key, `type base64`."""
        return f"{self.kind} {self.blob_base64}"

    @property
    def blob(self) -> bytes:
        """The key's bytes."""
        return base64.b64decode(self.blob_base64)

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH prints it, `SHA256:...`."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def short(self) -> str:
        """The key in a few words: kind, the start of the fingerprint, comment."""
        return " ".join(part for part in (self.kind, self.fingerprint[:19] + "…", printable(self.comment)) if part)

    @property
    def is_authority(self) -> bool:
        """True for a line that trusts a certificate authority instead of a key."""
        return "cert-authority" in option_names(self.options)


@dataclass(frozen=True)
class BadEntry:
    """An entry that is not exactly one key line; `repaired` holds what was surely meant, one line per key."""

    problem: Problem
    repaired: str | None = None
    served: tuple[Entry, ...] = ()
    """The keys that sshd finds in it all the same."""

    @property
    def says(self) -> str:
        """What is wrong, as the end of a sentence about the entry."""
        return _SAYS[self.problem]

    @property
    def repairs(self) -> tuple[str, ...]:
        """The repaired lines, one per key; empty where nothing can be proposed."""
        return tuple(self.repaired.split("\n")) if self.repaired else ()

    @property
    def harmless(self) -> bool:
        """True for what is no key and was never meant as one."""
        return self.problem in (Problem.EMPTY, Problem.COMMENT)


# ------------------------------------------------------------------------------------------------------ reading strictly


def read_line(line: str) -> Entry | None:
    """Return the key of one line exactly as sshd reads it, or `None` where sshd finds none."""
    line = line.strip(_BLANKS).rstrip("\r\n").rstrip(_BLANKS)
    if not line or line.startswith("#") or "\n" in line:
        return None
    if (bare := _read_key(line)) is not None:
        return bare
    end = _end_of_options(line)
    options, rest = line[:end], line[end:].strip(_BLANKS)
    key = _read_key(rest)
    if key is None or not _options_are_known(options):
        return None
    return Entry(options, key.kind, key.blob_base64, key.comment)


def served(text: str) -> tuple[Entry, ...]:
    """Return every key that sshd finds in the text of a file or of one entry."""
    return tuple(entry for line in text.split("\n") if (entry := read_line(line)) is not None)


def parse_entry(text: str) -> Entry | BadEntry:
    """Read one entry of `authorized_keys`: exactly one key line, or what is wrong with it and what was surely meant."""
    if is_private(text):
        return BadEntry(Problem.PRIVATE_KEY)
    bare = text.strip()
    if not bare:
        return BadEntry(Problem.EMPTY)
    if _SECRET_REFERENCE.fullmatch(bare):
        return BadEntry(Problem.SECRET_REFERENCE)
    found = served(text)
    entry = read_line(text.strip("\r\n" + _BLANKS))
    if entry is not None:
        more = _keys_within(entry.comment)
        if not more:
            return entry
        first = Entry(entry.options, entry.kind, entry.blob_base64, _cut_comment(entry.comment))
        return BadEntry(Problem.SEVERAL, _lines((first, *more)), found)
    if all(line.lstrip().startswith("#") or not line.strip() for line in text.splitlines()):
        return BadEntry(Problem.COMMENT)
    return _repair(text, found)


def option_names(options: str) -> tuple[str, ...]:
    """Return the names of a key's options, in lower case."""
    return tuple(name.lower() for name, _ in _split_options(options) or ())


def _read_key(text: str) -> Entry | None:
    kind, _, rest = _word(text)
    blob, _, comment = _word(rest)
    if not blob or not _KIND.fullmatch(kind) or not _is_key(kind, blob):
        return None
    return Entry("", kind, blob, comment)


def _word(text: str) -> tuple[str, str, str]:
    text = text.lstrip(_BLANKS)
    end = next((i for i, sign in enumerate(text) if sign in _BLANKS), len(text))
    return text[:end], " ", text[end:].strip(_BLANKS)


def _is_key(kind: str, blob_base64: str) -> bool:
    blob = _decode(blob_base64)
    return blob is not None and blob_kind(blob) == _ALIASES.get(kind, kind)


def _decode(text: str) -> bytes | None:
    """Return the bytes of base64 in its one canonical form, as sshd insists on it."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return blob if base64.b64encode(blob).decode() == text else None


def blob_kind(blob: bytes) -> str | None:
    """Return the kind that a key's bytes name, or `None` where they are not a whole key."""
    parts = _strings(blob)
    if not parts:
        return None
    try:
        kind = parts[0].decode("ascii")
    except UnicodeDecodeError:
        return None
    if not _KIND.fullmatch(kind) or len(parts) < 2:
        return None
    shape = _SHAPES.get(kind)
    if shape is None:
        return kind
    if len(parts) - 1 != len(shape):
        return None
    curve = kind.partition("@")[0].rpartition("-")[2]
    return kind if all(_fits(sign, part, curve) for sign, part in zip(shape, parts[1:], strict=True)) else None


def _fits(sign: str, part: bytes, curve: str) -> bool:
    match sign:
        case "k":
            return len(part) == 32
        case "n":
            return part[:1] < b"\x80" and part != b""
        case "c":
            return part == curve.encode()
        case "p":
            return len(part) == _POINT_BYTES.get(curve) and part[0] == 4
        case _:
            return True


def _strings(blob: bytes) -> list[bytes]:
    """Return the length-prefixed strings that make up the bytes, or nothing where they do not fit."""
    parts: list[bytes] = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            return []
        parts.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return parts


def _end_of_options(line: str) -> int:
    quoted = False
    i = 0
    while i < len(line) and (quoted or line[i] not in _BLANKS):
        if line.startswith('\\"', i):
            i += 1
        elif line[i] == '"':
            quoted = not quoted
        i += 1
    return i


def _split_options(options: str) -> list[tuple[str, str | None]] | None:
    """Return options as pairs of name and value, or `None` where they are malformed."""
    pairs: list[tuple[str, str | None]] = []
    rest = options
    while rest:
        match = re.match(r'([A-Za-z][A-Za-z0-9-]*)(?:="((?:\\"|[^"])*)")?(,(?=.)|$)', rest)
        if match is None:
            return None
        pairs.append((match[1], match[2]))
        rest = rest[match.end() :]
    return pairs


def _options_are_known(options: str) -> bool:
    pairs = _split_options(options)
    if not pairs:
        return False
    return all((_OPTIONS_ALONE if value is None else _OPTIONS_WITH_VALUE).fullmatch(name) for name, value in pairs)


# ------------------------------------------------------------------------------------------------------------- repairing


def _repair(text: str, found: tuple[Entry, ...]) -> BadEntry:
    """Return what is wrong with an entry that is no single key line, with the repair where there is only one."""
    for problem, read in ((Problem.RFC4716, _from_rfc4716), (Problem.PKCS8, _from_pem)):
        matched, line = read(text)
        if matched:
            return BadEntry(problem, line)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if (each := tuple(filter(None, map(read_line, lines)))) and len(each) == len(lines):
        return BadEntry(Problem.SEVERAL if len(each) > 1 else Problem.LINES, _lines(each), found)
    before, glued = _split_keys(text)
    if not before and len(glued) > 1:
        return BadEntry(Problem.SEVERAL, _lines(glued), found)
    cleaned, noise = _without_noise(text)
    if noise is not None:
        inner = parse_entry(cleaned)
        if isinstance(inner, Entry):
            return BadEntry(noise, inner.line, found)
        problem = Problem.NO_KEY if inner.problem is Problem.EMPTY else inner.problem
        return BadEntry(noise if inner.repaired else problem, inner.repaired, found)
    if (joined := _joined(text)) is not None:
        return BadEntry(Problem.WRAPPED, joined, found)
    return BadEntry(*_guess(text), found)


def _guess(text: str) -> tuple[Problem, str | None]:
    """Return the problem of a text that is one line without noise, and its repair."""
    first, _, rest = _word(text.strip())
    second, _, comment = _word(rest)
    if (kind := _kind_of(first)) is not None:
        return Problem.NO_KIND, Entry("", kind, first, rest).line
    if _KIND.fullmatch(first.lower()) and (kind := _kind_of(second)) is not None:
        return Problem.WRONG_KIND, Entry("", kind, second, comment).line
    end = _end_of_options(text.strip())
    if _read_key(text.strip()[end:]) is not None:
        return Problem.OPTIONS, None
    if re.search(r"\bAAAA[A-Za-z0-9+/]{12}", text) or first in _SHAPES:
        return Problem.BROKEN, None
    return Problem.NO_KEY, None


def _kind_of(blob_base64: str) -> str | None:
    """Return the kind of a complete key of a kind that we know, or `None`."""
    blob = _decode(blob_base64)
    kind = None if blob is None else blob_kind(blob)
    return kind if kind in _SHAPES else None


def _without_noise(text: str) -> tuple[str, Problem | None]:
    """Return the text without one kind of foreign sign around or inside it, and which it was."""
    if "\ufeff" in text:
        return text.replace("\ufeff", ""), Problem.BOM
    if any(sign in text for sign in _HARD_BLANKS + _INVISIBLE):
        return text.translate(
            {ord(s): " " for s in _HARD_BLANKS} | {ord(s): None for s in _INVISIBLE}
        ).strip(), Problem.HARD_BLANK
    bare = text.strip()
    ends = bare[0] + bare[-1]
    if any(sign in _QUOTES for sign in ends):
        return _unwrapped(bare, _QUOTES), Problem.QUOTES
    if bare[0] in _DASHES:
        return bare.lstrip(_DASHES + _BLANKS), Problem.DASH
    if bare[0] in _BRACKETS or _closes_nothing(bare):
        return _unbracketed(bare), Problem.BRACKET
    if "," in ends:
        return bare.strip("," + _BLANKS), Problem.COMMA
    if re.match(r"authorized_keys\s*:\s*", bare):
        return re.sub(r"^authorized_keys\s*:\s*", "", bare), Problem.DASH
    return text, None


def _closes_nothing(text: str) -> bool:
    """Return whether a text ends with a bracket that none before it has opened: one of a comment is the comment's own."""
    opener = dict(zip("])}>", "[({<", strict=True)).get(text[-1], "")
    return text[-1] in _BRACKETS and not (opener and text.count(opener) >= text.count(text[-1]))


def _unbracketed(text: str) -> str:
    """Return the text without the bracket before it, and without what that leaves unopened at its end."""
    bare = text[1:] if text[0] in _BRACKETS else text
    while (bare := bare.rstrip("," + _BLANKS)) and _closes_nothing(bare):
        bare = bare[:-1]
    return bare.strip()


def _unwrapped(text: str, signs: str) -> str:
    """Return the text without the signs around it, and without what a list puts after the closing one."""
    within = re.sub(rf"[{re.escape(signs)}][\s,{re.escape(_BRACKETS)}]*$", "", text.lstrip(signs))
    return within.strip(signs).strip()


def _joined(text: str) -> str | None:
    """Return the one key line that a broken one was: parts of the base64 joined until they are exactly one key."""
    words = text.split()
    for start, kind in enumerate(words):
        if kind not in _SHAPES:
            continue
        options = " ".join(words[:start])
        if options and not _options_are_known(options):
            return None
        for end in range(start + 2, len(words) + 1):
            blob = "".join(words[start + 1 : end])
            if len(blob) > _LONGEST_BLOB:
                return None
            if _kind_of(blob) == kind:
                return Entry(options, kind, blob, " ".join(words[end:])).line
        return None
    return None


def _keys_within(comment: str) -> tuple[Entry, ...]:
    """Return the further keys that a comment turns out to hold, with or without a sign before them."""
    return _split_keys(comment)[1]


def _cut_comment(comment: str) -> str:
    """Return the comment up to where a further key begins."""
    return _split_keys(comment)[0]


def _split_keys(text: str) -> tuple[str, tuple[Entry, ...]]:
    """Return a text up to the first key in it, and that key with all that follow; what is no whole key stays where it is."""
    first, *more = _BEFORE_KEY.split(text)
    parts, found = [first], []
    for piece in more:
        kind, _, rest = _word(piece)
        blob, _, comment = _word(rest)
        if _kind_of(blob.strip(_BETWEEN)) == kind:
            found.append((kind, blob.strip(_BETWEEN)))
            parts.append(comment)
        else:
            parts[-1] += piece
    head, *comments = [*(part.strip(_BETWEEN + _BLANKS) for part in parts[:-1]), parts[-1].strip("," + _BLANKS)]
    return head, tuple(Entry("", *key, comment) for key, comment in zip(found, comments, strict=True))


def _lines(entries: tuple[Entry, ...]) -> str:
    return "\n".join(entry.line for entry in entries)


def _from_rfc4716(text: str) -> tuple[bool, str | None]:
    match = _RFC4716.search(text)
    if match is None:
        return False, None
    body = match[1].replace("\\\r\n", "").replace("\\\n", "")
    comment = _COMMENT_HEADER.search(body)
    said = " ".join((comment[1] or comment[2] or "").split()) if comment else ""
    blob = "".join(_HEADER.sub("", body).split())
    kind = _kind_of(blob)
    return True, None if kind is None else Entry("", kind, blob, said).line


def _from_pem(text: str) -> tuple[bool, str | None]:
    match = _PEM.search(text)
    if match is None:
        return False, None
    der = _decode("".join(match[2].split()))
    blob = None if der is None else (_from_pkcs1(der) if match[1] else _from_spki(der))
    kind = None if blob is None else blob_kind(blob)
    return True, None if blob is None or kind is None else f"{kind} {base64.b64encode(blob).decode()}"


_CURVES = {
    bytes.fromhex("2a8648ce3d030107"): "nistp256",
    bytes.fromhex("2b81040022"): "nistp384",
    bytes.fromhex("2b81040023"): "nistp521",
}
_OID_RSA = bytes.fromhex("2a864886f70d010101")
_OID_EC = bytes.fromhex("2a8648ce3d0201")
_OID_ED25519 = bytes.fromhex("2b6570")


def _from_spki(der: bytes) -> bytes | None:
    """Return the key blob of a SubjectPublicKeyInfo (RFC 5280)."""
    match _der(_content(der, 0x30)):
        case [(0x30, algorithm), (0x03, bits)] if bits[:1] == b"\0":
            key = bits[1:]
        case _:
            return None
    match _der(algorithm):
        case [(0x06, oid), *_] if oid == _OID_ED25519:
            return _blob(b"ssh-ed25519", key)
        case [(0x06, oid), *_] if oid == _OID_RSA:
            return _from_pkcs1(key)
        case [(0x06, oid), (0x06, curve)] if oid == _OID_EC and curve in _CURVES:
            name = _CURVES[curve].encode()
            return _blob(b"ecdsa-sha2-" + name, name, key)
        case _:
            return None


def _from_pkcs1(der: bytes) -> bytes | None:
    """Return the key blob of an RSAPublicKey (RFC 8017)."""
    match _der(_content(der, 0x30)):
        case [(0x02, modulus), (0x02, exponent)]:
            return _blob(b"ssh-rsa", exponent, modulus)
        case _:
            return None


def _content(der: bytes, tag: int) -> bytes:
    match _der(der):
        case [(found, content)] if found == tag:
            return content
        case _:
            return b""


def _der(data: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and contents that make up the data, or nothing where they do not fit."""
    items: list[tuple[int, bytes]] = []
    while data:
        if len(data) < 2:
            return []
        head, size = 2, data[1]
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head], "big")
        if len(data) < head + size:
            return []
        items.append((data[0], data[head : head + size]))
        data = data[head + size :]
    return items


def _blob(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


# ---------------------------------------------------------------------------------------------------- asking about a key


def first_key(line: str) -> Entry | None:
    """Return the first key that sshd finds in an entry, or `None`."""
    return next(iter(served(line)), None)


def public_parts(line: str) -> tuple[str, str, str]:
    """Return type, base64 and comment of a public key line; raises `ValueError` where it is none."""
    entry = first_key(line)
    if entry is None:
        raise ValueError("not a public key line")
    return entry.kind, entry.blob_base64, entry.comment


def fingerprint(line: str) -> str:
    """Return the SHA256 fingerprint of a public key line as OpenSSH prints it; empty where it is none."""
    entry = first_key(line)
    return "" if entry is None else entry.fingerprint


def admits(entry: str, public: str) -> bool:
    """Return whether sshd, given this entry, knows this public key (options may still restrict its use)."""
    wanted = first_key(public)
    return wanted is not None and any(key.blob == wanted.blob and not key.is_authority for key in served(entry))


def option_of(entry: str, public: str, name: str) -> str | None:
    """Return the value of an option that an entry ties this key to, such as `from` or `expiry-time`; `None` where it has none."""
    wanted = first_key(public)
    held = (key for key in served(entry) if wanted is not None and key.blob == wanted.blob)
    return next((dict(_split_options(key.options) or ()).get(name) for key in held), None)


def means(entry: str, public: str) -> bool:
    """Return whether an entry that is not exactly one key line was surely meant to hold this public key."""
    read = parse_entry(entry)
    return isinstance(read, BadEntry) and any(admits(line, public) for line in read.repairs)


def same_key(a: str, b: str) -> bool:
    """Return whether two entries are the same key, whatever their comments; texts that are no keys are compared as they are."""
    one, other = first_key(a), first_key(b)
    if one is None or other is None:
        return one is other and a.strip() == b.strip()
    return one.blob == other.blob and one.is_authority == other.is_authority


def is_private(text: str) -> bool:
    """Return whether the text holds (a part of) a private key, which must never be stored or shown."""
    return _PRIVATE.search(text) is not None


def kind_word(kind: str) -> str:
    """Return the word that sshd's log uses for a kind of key, such as `ED25519`."""
    plain = kind.replace("-cert-v01@openssh.com", "")
    word = _KIND_WORDS.get(plain) or _KIND_WORDS.get(plain + "@openssh.com") or plain
    return word if plain == kind else f"{word}-CERT"


def rsa_bits(line: str) -> int | None:
    """Return the length of an RSA key in bits; `None` for any other kind."""
    entry = first_key(line)
    parts = _strings(entry.blob) if entry is not None else []
    return int.from_bytes(parts[2], "big").bit_length() if len(parts) == 3 and parts[0] == b"ssh-rsa" else None


def weakness(line: str) -> str | None:
    """Return why a key is too weak to rely on, or `None`."""
    entry = first_key(line)
    if entry is None:
        return None
    if entry.kind == "ssh-dss":
        return "DSA keys are refused by OpenSSH since version 7.0 and gone since 10.0"
    bits = rsa_bits(line)
    return f"an RSA key of {bits} bits is too short, 2048 is the least" if bits is not None and bits < 2048 else None


_FORM = re.compile(r"(?P<before>.*?)(?P<begin>-----BEGIN OPENSSH PRIVATE KEY-----)(?P<rest>.*)", re.DOTALL)
_TAKEN = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----\n.*?\n-----END OPENSSH PRIVATE KEY-----\n", re.DOTALL)


def form_of(text: str) -> tuple[bool, str]:
    """Return whether OpenSSH refuses the form of a key file, and what stands before the key (PROTOCOL.key).

    Keys in the older form (PEM) are read by OpenSSL, which forgives line ends and what stands around them.
    """
    found = _FORM.match(text)
    if found is None or _TAKEN.match(text):
        return False, ""
    before = found["before"]
    if not before:
        return True, ""
    return True, "mark" if before == "\ufeff" else "text" if before.strip("\ufeff \t\r\n") else "blank"


def mended_form(text: str) -> str:
    """Return a key file in the form that OpenSSH takes."""
    return text.lstrip("\ufeff \t\r\n").replace("\r\n", "\n").rstrip("\n") + "\n"


def printable(text: str) -> str:
    """Return the text with every sign that a terminal could obey shown as an escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
