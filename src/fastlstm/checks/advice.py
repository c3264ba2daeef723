"""What to do about each finding: a sentence each, and none where all is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastlstm.checks.duplicates import Duplicates, Overlap
from fastlstm.checks.label_noise import FOLDS, LabelNoise
from fastlstm.checks.languages import NO_LETTERS, UNSURE, Languages
from fastlstm.checks.lengths import Lengths
from fastlstm.checks.text_quality import SHORT_TEXT, ClassCounts, TextIssue
from fastlstm.checks.vocabulary import COVERED, Vocabulary

UNEVEN = 3
"""A class with so many times the texts of another makes accuracy misleading."""
FEW = 20
"""Training texts of a class, of which fewer teach little."""
FLATTERING = 0.02
"""From this share of repeated texts on, figures are more than a little flattering."""
BARELY = 0.1
"""Of the texts that guessing gets wrong, the folds must get this share right for their doubts to count."""
MUCH_CUT = 0.01
MUCH_UNKNOWN = 0.03
MUCH_UNSEEN = 0.05
NAMED = 5
"""Classes or languages that a sentence names."""

Recommendation = tuple[str, ...]

_ON_BLEMISHES = {
    "very short": f"{{}} with fewer than {SHORT_TEXT} tokens: there is little to learn from them; are they whole?",
    "hardly any letters": "{} with hardly any letters: are they texts?",
    "HTML": "{} with HTML tags or entities: take them out here and in what the model will read, or in neither",
    "broken characters": "{} with characters broken by a wrong encoding: read their source again, as UTF-8",
}


def on_classes(parts: Mapping[str, ClassCounts]) -> Recommendation:
    """On uneven, small and missing classes."""
    training = next(iter(parts.values())).classes
    most, least = max(training, key=training.__getitem__), min(training, key=training.__getitem__)
    said = []
    if training[most] >= UNEVEN * training[least]:
        said.append(
            f"{most} has {training[most] / training[least]:.1f} times the training texts of {least}: go by macro "
            "F1 rather than accuracy, and try --class-weights balanced"
        )
    if small := [name for name, texts in training.items() if texts < FEW]:
        said.append(f"fewer than {FEW} training texts of {_listed(small)}: add texts, or join classes")
    said += [
        f"{_listed(names)} differ in upper and lower case alone: make them one class" for names in _alike(training)
    ]
    for name, part in parts.items():
        if missing := [label for label, texts in part.classes.items() if not texts]:
            said.append(f"no {name} text of {_listed(missing)}: figures there say nothing of that")
    return tuple(said)


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Those that are the same but for upper and lower case, together."""
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(name.casefold(), []).append(name)
    return [together for together in by_name.values() if len(together) > 1]


def on_duplicates(found: Duplicates, parts: Mapping[str, ClassCounts]) -> Recommendation:
    """On texts that stand twice in a part, in two parts, and with two labels."""
    said = [_on_overlap(overlap, parts[overlap.part].texts) for overlap in found.across]
    training, *others = found.within
    if repeats := found.within[training]:
        said.append(
            f"{_number(repeats, 'repeat')} in {training}: such texts weigh more; drop all but one, unless meant"
        )
    if any(found.within[part] for part in others):
        counts = " and ".join(f"{_number(found.within[part], 'repeat')} in {part}" for part in others)
        said.append(f"{counts}: figures count these texts again; drop all but one of each")
    if found.conflicts:
        said.append(
            f"contradicting labels: {_number(found.conflicts, 'different text')}, {found.conflicting:,} with their "
            "repeats; no model gets these right; decide for one label each, or drop them"
        )
    return tuple(said)


def _on_overlap(overlap: Overlap, texts: int) -> str:
    little = "a little " if overlap.texts < FLATTERING * texts else ""
    letter = "all" if overlap.to_the_letter == overlap.texts else f"{overlap.to_the_letter:,}"
    return (
        f"also in {' or '.join(overlap.others)}: {overlap.texts:,} of {texts:,} {overlap.part} texts ({letter} to "
        f"the letter); figures on {overlap.part} are {little}flattering; drop these texts from one side"
    )


def on_label_noise(found: LabelNoise | None) -> Recommendation:
    """On labels that look wrong, and on how far that can be believed."""
    if found is None:
        return (f"too few texts to judge labels by: two classes or more need {FOLDS} different texts each",)
    said = []
    suspect = sum(found.suspect.values())
    if found.agreement - found.majority < BARELY * (1 - found.majority):
        said.append(
            f"the bag of words is hardly better than guessing (right {found.agreement:.1%}, always saying the most "
            f"frequent class {found.majority:.1%}): its doubts say little; add texts"
        )
    elif suspect:
        said.append(
            f"labels that look wrong: about {suspect:,} ({suspect / found.judged:.1%}); a bag of words takes hard "
            "texts for wrong labels too, so read them, the surest first, and correct those that are"
        )
    if found.left_out:
        said.append(f"{_number(found.left_out, 'text')} not judged: a class has fewer than {FOLDS} different texts")
    return tuple(said)


def on_lengths(found: Lengths) -> Recommendation:
    """On what the limit of tokens cuts."""
    cut = found.cuts[0]
    if cut.texts < MUCH_CUT:
        return ()
    longer = max(part.p99 for part in found.parts.values())
    return (
        f"{cut.texts:.1%} of texts are longer than {cut.max_tokens} tokens, and {cut.tokens:.1%} of all tokens are "
        f"never read: --max-tokens {longer} reads 99% of texts whole and trains longer; --truncate says which part "
        "is kept",
    )


def on_vocabulary(found: Vocabulary) -> Recommendation:
    """On words that the vocabulary, or training altogether, lacks."""
    part, unknown = list(found.unknown.items())[-1]
    unseen = found.unseen[part]
    said = []
    if unknown >= MUCH_UNKNOWN and found.enough > found.asked:
        said.append(
            f"{unknown:.1%} of the {part} tokens are read as unknown: --vocabulary-size {found.enough} knows "
            f"{COVERED:.0%} of the training tokens"
        )
    if unseen >= MUCH_UNSEEN:
        said.append(
            f"{unseen:.1%} of the {part} tokens stand nowhere in training, and no vocabulary helps: add training "
            f"texts; are the {part} texts of the same kind?"
        )
    return tuple(said)


def on_languages(found: Languages) -> Recommendation:
    """On texts in another language or script than most."""
    told = found.scripts if found.languages is None else found.languages
    usual, *others = [name for name in told if name not in (UNSURE, NO_LETTERS)] or [UNSURE]
    said = []
    if others:
        texts = sum(told[name] for name in others)
        counts = _listed([f"{name} {told[name]:,}" for name in others])
        said.append(
            f"not in {usual}: {_number(texts, 'text')} ({counts}); drop these, unless the model will meet such too"
        )
    if found.languages is None:
        said.append("scripts only; to tell languages, run: pip install 'fastlstm[language]'")
    return tuple(said)


def on_blemishes(found: Iterable[TextIssue]) -> Recommendation:
    """On every kind of blemish."""
    return tuple(
        _ON_BLEMISHES[blemish.kind].format(_number(sum(blemish.texts.values()), "text")) for blemish in found
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
