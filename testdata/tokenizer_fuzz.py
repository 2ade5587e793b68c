#!/usr/bin/env python3
"""Compares tokenizers with Python on random strings.

    go build -o tessera ./cmd/tessera
    python3 testdata/tokenizer_fuzz.py --tessera ./tessera --count 20000

The tokenizers of openai/CLIP, of Hugging Face's CLIPTokenizerFast and of GPT-2
are written down here from their published pipelines, on the module regex
(Debian: python3-regex), whose patterns they are defined by. Where ftfy is
installed it does the repair, with fix_encoding off; otherwise the steps below
do. Strings hold only characters that Python's own Unicode tables know. Exits
with 1 if an id differs.
"""
import argparse
import gzip
import html
import json
import random
import subprocess
import sys
import unicodedata

import regex

try:
    import ftfy
except ImportError:
    ftfy = None

CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

CONTROLS = [*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)]
LIGATURES = "ĲĳǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ"


def repair_table():
    """What one character becomes in one round of repair."""
    table = {c: None for c in CONTROLS}
    for c in range(0x80, 0xA0):
        try:
            table[c] = bytes([c]).decode("windows-1252")
        except UnicodeDecodeError:
            table[c] = chr(c)
    table.update({ord(c): unicodedata.normalize("NFKC", c) for c in LIGATURES})
    table.update({ord("ŉ"): "ʼn", ord("ﬅ"): "ſt", 0x3000: " "})
    table.update({c: unicodedata.normalize("NFKC", chr(c)) for c in range(0xFF01, 0xFFF0)})
    table.update({c: "'" for c in [0x2BC, *range(0x2018, 0x201C)]})
    table.update({c: '"' for c in range(0x201C, 0x2020)})
    table.update({c: "\n" for c in (0x2028, 0x2029)})
    return table


REPAIRS = repair_table()


def repair_entity(match):
    text = match.group(0)
    name = text[1:]
    if name in html.entities.html5:
        return html.entities.html5[name]
    if name.lower() in html.entities.html5 and name == name.upper() and html.unescape(text) == text:
        return html.entities.html5[name.lower()].upper()
    if name.startswith("#"):
        found = html.unescape(text)
        return text if ";" in found else found
    return text


def repair(text):
    if ftfy is not None:
        return ftfy.fix_text(text, fix_encoding=False)
    out, entities = [], True
    for line in regex.findall(r"[^\n]*\n|[^\n]+", text):
        entities = entities and "<" not in line
        while True:
            before = line
            if entities:
                line = regex.sub(r"&#?[0-9A-Za-z]{1,24};", repair_entity, line)
            line = regex.sub(r"\033\[[\d;]*[a-zA-Z]", "", line)
            line = line.replace("\r\n", "\n").replace("\r", "\n").translate(REPAIRS)
            line = unicodedata.normalize("NFC", line)
            if line == before:
                break
        out.append(line)
    return "".join(out)


def byte_alphabet():
    codes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    runes = {b: chr(b) for b in codes}
    for b in range(256):
        if b not in runes:
            runes[b] = chr(256 + len(runes) - len(codes))
    return runes


class BPE:
    def __init__(self, folder, suffix):
        with gzip.open(f"{folder}/vocab.json.gz") as f:
            self.ids = json.load(f)
        with gzip.open(f"{folder}/merges.txt.gz", "rt", encoding="utf-8") as f:
            lines = f.read().split("\n")[1:]
        self.ranks = {tuple(l.split(" ")): i for i, l in enumerate(lines) if l}
        self.bytes = byte_alphabet()
        self.suffix = suffix
        self.cache = {}

    def word(self, word):
        if word in self.cache:
            return self.cache[word]
        parts = [self.bytes[b] for b in word.encode("utf-8")]
        parts[-1] += self.suffix
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda p: self.ranks.get(p, float("inf")))
            if best not in self.ranks:
                break
            merged, i = [], 0
            while i < len(parts):
                if tuple(parts[i : i + 2]) == best:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        self.cache[word] = [self.ids[p] for p in parts]
        return self.cache[word]


def openai(bpe):
    pattern = regex.compile(CLIP_PATTERN, regex.IGNORECASE)

    def encode(text):
        text = html.unescape(html.unescape(repair(text))).strip()
        text = regex.sub(r"\s+", " ", text).strip().lower()
        return [49406] + [i for w in pattern.findall(text) for i in bpe.word(w)] + [49407]

    return encode


def huggingface(bpe):
    pattern = regex.compile(CLIP_PATTERN)

    def encode(text):
        text = regex.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
        text = "".join(c.lower() for c in text)  # Rust lowers each character by itself
        return [49406] + [i for w in pattern.findall(text) for i in bpe.word(w)] + [49407]

    return encode


def gpt2(bpe):
    pattern = regex.compile(GPT2_PATTERN)
    return lambda text: [i for w in pattern.findall(text) for i in bpe.word(w)]


def characters(*ranges):
    return [chr(c) for lo, hi in ranges for c in range(lo, hi)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def strings(rng, count):
    marks = characters((0x300, 0x370), (0x483, 0x488), (0x591, 0x5BE), (0x64B, 0x660), (0x1AB0, 0x1AC1), (0x20D0, 0x20F1))
    planes = [
        characters((0x20, 0x7F)), characters((0, 0x20), (0x7F, 0x100)), characters((0x80, 0x250)),
        characters((0x250, 0x590)), characters((0x590, 0x900)), characters((0x900, 0x1100)),
        characters((0x1100, 0x1200), (0xA960, 0xA980), (0xAC00, 0xAD00)), characters((0x1D00, 0x2000)),
        characters((0x2000, 0x2C00)), characters((0x3000, 0x3400), (0x4E00, 0x5000)),
        characters((0xF900, 0x10000)), characters((0x10000, 0x20000)), characters((0xE0000, 0xE0200)),
        characters((0x1F1E6, 0x1F200), (0x1F300, 0x1F700), (0x1F900, 0x1FA00), (0xFE0E, 0xFE10), (0x200D, 0x200E)),
        characters((0x20000, 0x20100), (0xE000, 0xE010), (0x10FF00, 0x110000)), marks,
        list("ΑΒΣςσ'.:·’\u00ad\u0301 aİıſK"),
    ]
    names = list(html.entities.html5)
    words = ["the", "Photo", " of", "a", "dog's", "we'll", "I'D", "'ſ", "don’t", "\n", "\r\n", "  ", "\t", "123", "3.14e-10",
             "\x1b[31m", "\x1b[", "<b>", "&", "&amp;", "&#", ";", "ﬁ", "Ａ", "“", "”", "…", "</w>", "<|", "|>", "<image>",
             "👨‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈", "🇯🇵", "1️⃣", "é", "e\u0301", "한국", "\u1112\u1161\u11ab", "\x92", "\x85", "Ã©", "â€™"]

    def entity():
        kind = rng.randrange(6)
        if kind == 0:
            return f"&{rng.choice(names)}"
        if kind == 1:
            return f"&{rng.choice(names).upper()}"
        if kind == 2:
            return f"&#{rng.choice([rng.randrange(0x180), rng.randrange(0x120000), rng.randrange(10**12)])}{rng.choice(';; ')}"
        if kind == 3:
            return f"&#{rng.choice('xX')}{rng.choice([rng.randrange(0x180), rng.randrange(0x120000)]):{rng.choice('xX')}}{rng.choice(';; ')}"
        if kind == 4:
            return f"&{rng.choice(names).rstrip(';')}{rng.choice(['', 'x', ' ', 'é'])}"
        return "&" + "amp;" * rng.randrange(1, 6) + rng.choice(["lt;", "eacute;", "#39;", ""])

    def piece():
        kind = rng.randrange(10)
        if kind < 4:
            return rng.choice(words)
        if kind < 8:
            plane = rng.choice(planes)
            return "".join(rng.choice(plane) for _ in range(rng.randrange(1, 8)))
        if kind == 8:
            return entity()
        return rng.choice("aeounkΑ") + "".join(rng.choice(marks) for _ in range(rng.randrange(60)))

    while count:
        text = "".join(piece() for _ in range(rng.choice([1, 2, 3, 5, 8, 13])))
        if known(text):
            count -= 1
            yield text


def known(text):
    """False where an entity names a character that Python's tables lack."""
    resolved = html.unescape(html.unescape(text))
    return not any(unicodedata.category(c) in ("Cn", "Cs") for c in resolved + text)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tessera", default="./tessera")
    p.add_argument("--folder", default="testdata/bpe")
    p.add_argument("--count", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    texts = list(strings(random.Random(a.seed), a.count))
    clip, plain = BPE(f"{a.folder}/clip", "</w>"), BPE(f"{a.folder}/gpt2", "")
    failed = False
    for name, folder, encode in [("openai", "clip", openai(clip)), ("huggingface", "clip", huggingface(clip)), ("gpt2", "gpt2", gpt2(plain))]:
        command = [a.tessera, "clip", "tokenize", "--vocab", f"{a.folder}/{folder}", "--json"]
        if folder == "clip":
            command += ["--cleaning", name]
        done = subprocess.run(command, input="".join(json.dumps(t) + "\n" for t in texts), text=True, stdout=subprocess.PIPE, check=True)
        lines = done.stdout.split("\n")[:-1]
        assert len(lines) == len(texts), (len(lines), len(texts))
        ids = differing = 0
        for text, line in zip(texts, lines):
            want, got = encode(text), json.loads(line)["ids"]
            ids += len(want)
            if got != want:
                differing += sum(x != y for x, y in zip(got, want)) + abs(len(got) - len(want))
                if not failed or differing < 20:
                    print(f"{name}: {text!a}\n  got  {got}\n  want {want}", file=sys.stderr)
                failed = True
        repaired = "" if name != "openai" else f", repair by {'ftfy' if ftfy else 'the steps above'}"
        print(f"{name}: {len(texts)} strings, {ids} ids, {differing} differing{repaired}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
