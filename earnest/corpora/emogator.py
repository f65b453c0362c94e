"""EmoGator, vocal bursts in 30 emotions (Buhl, 2023)."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from earnest.corpora.base import CORPORA, LabelsInNames, unknown_name
from earnest.corpora.manifest import Utterance

# In the order of their numbers, 01 to 30. The authors write "Romantic Love" and "Surprise (Negative)".
CATEGORIES = (
    *("adoration", "amusement", "anger", "awe", "confusion", "contempt", "contentment", "desire", "disappointment"),
    *("disgust", "distress", "ecstasy", "elation", "embarrassment", "fear", "guilt", "interest", "neutral", "pain"),
    *("pride", "realization", "relief", "romantic-love", "sadness", "serenity", "shame", "surprise-negative"),
    *("surprise-positive", "sympathy", "triumph"),
)
# Only words that mean the same: amusement, elation or serenity are not "happy" or "calm", they count as "other".
EMOTIONS = {
    "anger": "angry",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fearful",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise-negative": "surprised",
    "surprise-positive": "surprised",
}
CONTRIBUTORS, INSTANCES = range(1, 358), range(1, 4)
NAME = re.compile(r"(\d{6})-(\d\d)-([123])")


@CORPORA.register("emogator")
class EmoGator(LabelsInNames):
    """Labels are in the names: contributor, category, instance. No burst has words.

    Each contributor recorded three bursts of each of 30 emotions, with a microphone of their own; 22 of the 30 have
    no canonical name and count as "other". Gender is not stated.
    """

    title = "EmoGator (2023)"
    language = "none"
    licence = "Apache-2.0"
    commercial_use = True
    url = "https://github.com/fredbuhl/EmoGator"
    citation = "Buhl (2023), arXiv:2301.00508"
    n_speakers, n_utterances = len(CONTRIBUTORS), 32_130  # their README says 31,130; 357 · 30 · 3 files are there
    class_counts: Mapping[str, int] = {
        emotion: len(CONTRIBUTORS) * len(INSTANCES) * n_categories
        for emotion, n_categories in Counter(EMOTIONS.get(category, "other") for category in CATEGORIES).items()
    }
    example: Mapping[str, str] = {
        "data/mp3/000001-02-1.mp3": "other",
        "data/mp3/000001-03-2.mp3": "angry",
        "data/mp3/000357-28-3.mp3": "surprised",
    }
    access = f"git clone {url}"

    def published(self, root: Path) -> list[str]:
        """Three bursts of each category by each contributor."""
        return [
            f"{contributor:06d}-{category:02d}-{instance}"
            for contributor in CONTRIBUTORS
            for category in range(1, len(CATEGORIES) + 1)
            for instance in INSTANCES
        ]

    def utterance(self, path: Path) -> Utterance:
        match = NAME.fullmatch(path.stem)
        if not match or int(match[1]) not in CONTRIBUTORS or not 1 <= int(match[2]) <= len(CATEGORIES):
            raise unknown_name(path, "000001-03-1.mp3")
        contributor, number, instance = match.groups()
        category = CATEGORIES[int(number) - 1]
        return Utterance(
            utterance_id=path.stem,
            path=path,
            corpus="emogator",
            speaker=f"emogator-{contributor}",
            emotion=EMOTIONS.get(category, "other"),
            native_emotion=category,
            style="vocal-burst",
            repetition=instance,
        )
