"""English sentences whose sentiment is known by construction: plain, negated, and with a contrast.

Reviews are long and rarely depend on one negation, so a model that is trained on them alone reads "not bad" as bad.
These sentences are made from patterns and word lists, about films, products, places and services. They only teach:
the probes that measure the result (`probes.py`) are written independently.

In a pattern, `[a|b]` is a choice, and `{good}` a word of the subject area or of `WORDS`. `{+}` stands for a clause that
praises, `{-}` for one that blames.
"""

from __future__ import annotations

import random
import re
from dataclasses import asdict

from english_subjects import SUBJECTS, Subject

POSITIVE, NEGATIVE = 1, 0


WORDS = {
    "this": ("this", "this", "the", "that"),
    "be": ("is", "was", "is", "was", "turned out to be", "has been", "seems"),
    "not": ("is not", "isn't", "was not", "wasn't", "is never", "was never", "isnt", "wasnt"),
    "very": ("", "", "", "", "very ", "really ", "so ", "quite ", "absolutely ", "truly "),
    "that": ("", "", "", "very ", "really ", "that ", "particularly ", "exactly ", "even "),
    "didnt": ("don't", "do not", "didn't", "did not", "really don't", "honestly did not", "dont", "didnt"),
    "cant": ("can't", "cannot", "can not", "couldn't", "could not", "wouldn't", "would not", "cant", "won't"),
    "wont": ("will not", "won't", "would not", "wouldn't", "wont"),
    "far from": ("anything but", "far from", "hardly", "not remotely", "by no means", "in no way", "barely"),
    "liked": ("liked", "loved", "enjoyed", "adored", "was happy with", "was impressed by", "was pleased with"),
    "disliked": ("hated", "regretted", "disliked", "was bored by", "was disappointed by", "got tired of"),
    "but": (", but", " but", "; however,", ". However,", ", yet", ", though", " -- but", ". But"),
    "although": ("although", "even though", "though", "while", "it is true that"),
    "also": (", although", ", even though", ", even if"),
    "end": ("", "", "", ", I must say", " to be honest", " if you ask me", " for us"),
}
"""Words for the slots of patterns, besides those of the subject area."""

PLAIN = {
    POSITIVE: ("{what} {be} {very}{good}", "I [|really |absolutely ]{liked} {it}", "{what} {be} {good} and {good}"),
    NEGATIVE: ("{what} {be} {very}{bad}", "I [|really |absolutely ]{disliked} {it}", "{what} {be} {bad} and {bad}"),
}
HAPPENING = {
    POSITIVE: (
        "{praise}",
        "{praise} and {praise}",
        "{praise}, and {part} {be} {very}{good}",
        "{very}{good}, {praise}",
    ),
    NEGATIVE: ("{blame}", "{blame} and {blame}", "{blame}, and {part} {be} {very}{bad}", "{very}{bad}, {blame}"),
}
DENIAL = {
    POSITIVE: (
        "{what} {not} {that}{bad}",
        "{what} {not} {bad} at all",
        "{this} {thing} {not} a {bad} one",
        "not {that}{bad}",
        "not {that}{bad}, [I would say|in fact I liked it|to my surprise|and I am picky]",
        "not {bad}, not {bad}, just {good}",
        "{what} [is|was] {far from} {bad}",
        "I {didnt} [hate|regret|dislike|mind] [it|buying it|choosing it|trying it]",
        "I never {disliked} {it}",
        "I {cant} [complain|fault it|ask for more|wish for more|find anything wrong with it]{end}",
        "I could[ not|n't|nt] be [happier|more pleased] with {it}",
        "you {wont} [regret it|be disappointed|be sorry]",
        "I was not [disappointed|bored|let down] by {it}",
    ),
    NEGATIVE: (
        "{what} {not} {that}{good}",
        "{what} {not} {good} at all",
        "{this} {thing} {not} a {good} one",
        "not {that}{good}",
        "not {that}{good}, [sorry to say|to be honest|in my opinion|and {bad} too]",
        "not {good}, not {good}, just {bad}",
        "{what} [is|was] {far from} {good}",
        "I {didnt} [like|love|enjoy|recommend|trust|miss|appreciate|care for] {it}",
        "I never {liked} {it}",
        "I {cant} [recommend|stand|love|bear|advise buying|praise|trust] {it}{end}",
        "I {wont} {use}",
        "I would never {use}",
        "I was not [impressed|happy|satisfied|pleased|convinced] by {it}",
    ),
}
INTENTION = {
    POSITIVE: (
        "I will [definitely|certainly|gladly|happily] {use}",
        "I would {use} any time",
        "can't wait to {use}",
        "I would not hesitate to {use}",
        "I'd {use} without a second thought",
        "no reason not to {use}",
    ),
    NEGATIVE: (
        "I will [definitely|certainly|really] not {use}",
        "I won't {use}",
        "there is no way I {use}",
        "I would not {use} even if it were free",
        "no reason to {use}",
        "I would hesitate to {use}",
    ),
}
ABSENCE = {
    POSITIVE: (
        "[|there were |I had |we had |I have ]no {fault}[| at all| so far| whatsoever]",
        "{what} has no {fault}",
        "[completely free of|without any|zero|not a trace of] {fault}",
        "[full|plenty] of {merit}",
        "[never lacks|no lack of|no shortage of] {merit}",
        "it has {merit} and {merit}",
    ),
    NEGATIVE: (
        "[|there was |it has |it had |I found ]no {merit}[| at all| whatsoever]",
        "{what} has no {merit}",
        "[completely free of|without any|zero|not a trace of] {merit}",
        "[full of|too many|nothing but|no end of] {fault}",
        "[it lacks|a complete lack of|no sign of] {merit}",
        "without {merit} or {merit}",
    ),
}
NOTHING = {
    POSITIVE: (
        "[|there is |I have |we had ]nothing to complain about",
        "there is nothing wrong with {part}",
        "nothing about {it} is {bad}",
        "nothing [went wrong|broke|was missing|disappointed me]",
        "nobody in our group complained about {part}",
        "none of us was disappointed",
        "never had [a problem|a bad experience|any trouble] with {it}",
        "{part} never [disappoints|fails|lets you down|gets old|bores]",
        "not a single [fault|problem|complaint|boring minute|weak spot]",
        "I have yet to find a [fault|flaw|weakness]",
        "[it |this |]could not have been better",
        "it does not get better than this",
        "what is not to like",
        "I have never [seen|had|found|tried] a better {thing}",
        "there is no better {thing}",
    ),
    NEGATIVE: (
        "[|there is |I found ]nothing to recommend [it|here]",
        "nothing [special|works|new|about it is good|worth mentioning]",
        "there is nothing {good} about {it}",
        "nobody [liked it|cared|helped us]",
        "none of [it works|it makes sense|us enjoyed it|the promises were kept]",
        "never had a [good experience|worse one|decent answer] with {it}",
        "{part} never [worked|impressed me|got better|became interesting|arrived]",
        "not a single [good moment|good thing to say|smile|nice word|redeeming feature]",
        "I have yet to find anything good about {it}",
        "[it |this |]could not have been worse",
        "[it |this |]could have been [better|so much more|good]",
        "it does not get worse than this",
        "I have never [seen|had|found|tried] a worse {thing}",
        "[|really ]not worth [it|the money|your time|the price|the wait|the trip|the effort]",
        "did[ not|n't] live up to [the hype|my expectations|its reputation]",
        "I wish I [had not bought it|had never tried it|had chosen something else]",
    ),
}
CONTRAST = {
    POSITIVE: (
        "{-}{but} {+}",
        "{-}{but} {+}",
        "{although} {-}, {+}",
        "{+}{also} {-}",
        "[despite|in spite of] {part}, {+}",
        "{bad} {noun}, [|but |but a |yet ]{good} {thing}",
    ),
    NEGATIVE: (
        "{+}{but} {-}",
        "{+}{but} {-}",
        "{although} {+}, {-}",
        "{-}{also} {+}",
        "[despite|in spite of] {part}, {-}",
        "{good} {noun}, [|but |but a |yet ]{bad} {thing}",
    ),
}
EXPECTATION = {
    POSITIVE: (
        "I expected {it} to be {bad}, but I was wrong",
        "I thought I would hate it, but I {liked} it",
        "[much|far|] better than [I expected|the reviews say|it looks|the last one|I feared]",
        "I had low expectations and was pleasantly surprised",
        "not nearly as {bad} as [people say|I feared|the last one]",
        "it [exceeded|surpassed] my expectations",
        "less {bad} than I feared",
        "I did not expect to like it, but I did",
        "I was worried it would be {bad}; it is not",
        "it looks {bad}, but don't be fooled: it is {good}",
    ),
    NEGATIVE: (
        "I expected {it} to be {good}, but it was not",
        "I wanted to like it, but I {didnt}",
        "[much|far|] worse than [I expected|the pictures|the last one|the reviews say]",
        "I [|had |really ]expected more[| from {it}]",
        "I had high hopes and was let down",
        "not [nearly |half |]as {good} as [I hoped|they claim|the first one|it used to be|advertised]",
        "it used to be {good}",
        "less {good} than it looks",
        "supposed to be {good}, but it isn't",
        "it looks {good}, but don't be fooled: it is {bad}",
        "they say it is {good}; I disagree",
        "I tried hard to like it and failed",
    ),
}
ADVICE = {
    POSITIVE: (
        "don't miss {this} {thing}",
        "do yourself a favour and get it",
        "you can't go wrong with it",
        "don't listen to the bad reviews",
        "you won't find a better {thing}",
        "go for it, you will not regret it",
        "do not hesitate",
        "{this} {thing} is not to be missed",
        "[a must|worth every penny|highly recommended|give it a chance]",
        "don't let the price put you off",
    ),
    NEGATIVE: (
        "don't [bother|waste your time|waste your money|fall for it|believe the good reviews]",
        "stay away from {this} {thing}",
        "[save your money|avoid|look elsewhere|skip it|go somewhere else|not recommended]",
        "do not buy this",
        "you can do better",
        "there are better ones than {this} {thing}",
        "I would think twice",
        "keep your money in your pocket",
    ),
}
KINDS = (
    (PLAIN, 4),
    (HAPPENING, 4),
    (DENIAL, 7),
    (INTENTION, 1),
    (ABSENCE, 3),
    (NOTHING, 3),
    (CONTRAST, 6),
    (EXPECTATION, 2),
    (ADVICE, 1),
)
"""The kinds of sentences, with their relative frequency."""
CLAUSES = (PLAIN, PLAIN, HAPPENING, DENIAL)
"""The kinds of the clauses of a contrast."""
ENDINGS = (".", ".", ".", "!", "", "...")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([^{}]*)\}")


def generate(count: int, seed: int) -> list[tuple[str, int]]:
    """Return that many distinct sentences and their labels, `POSITIVE` or `NEGATIVE`, half of each."""
    writer = _Writer(random.Random(seed))
    result: dict[str, int] = {}
    while len(result) < count:
        label = len(result) % 2
        result.setdefault(writer.sentence(label), label)
    return list(result.items())


class _Writer:
    """Fills in patterns at random."""

    def __init__(self, chooser: random.Random) -> None:
        self._chooser = chooser
        self._kinds = [kind for kind, weight in KINDS for _ in range(weight)]

    def sentence(self, label: int) -> str:
        """Return a sentence with that label."""
        words = self._words_of(self._chooser.choice(SUBJECTS))
        text = " ".join(self._fill(self._chooser.choice(self._chooser.choice(self._kinds)[label]), words).split())
        style = self._chooser.random()
        if style < 0.75:
            text = text[0].upper() + text[1:]
        elif style < 0.85:
            text = text.lower()
        return text + self._chooser.choice(ENDINGS)

    def _words_of(self, subject: Subject) -> dict[str, tuple[str, ...]]:
        words = {**WORDS, **asdict(subject)}
        words["what"] = (*subject.part, *(f"{{this}} {thing}" for thing in subject.thing), *["it"] * 8)
        words["it"] = ("it", "it", "{this} {thing}", "{part}")
        words["noun"] = tuple(part.removeprefix("the ") for part in subject.part)
        return words

    def _fill(self, pattern: str, words: dict[str, tuple[str, ...]]) -> str:
        """Fill in the slots of a pattern, one after the other, then its choices."""
        while (slot := _SLOT.search(pattern)) is not None:
            if slot[1] in "+-":
                filling = self._chooser.choice(
                    self._chooser.choice(CLAUSES)[POSITIVE if slot[1] == "+" else NEGATIVE]
                )
            else:
                filling = self._chooser.choice(words[slot[1]])
            pattern = pattern[: slot.start()] + filling + pattern[slot.end() :]
        return _CHOICE.sub(lambda choice: self._chooser.choice(choice[1].split("|")), pattern)
