"""Chinese sentences whose sentiment is known by construction, to teach negation and contrast.

A statement joins an aspect and an adjective: "房间很干净". Patterns negate it, or join two statements by a conjunction
that decides which of them counts: "虽然房间很脏,但是服务很好" is positive.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ASPECTS = (
    ("房间,屋子,卫生间,大堂", "干净,宽敞,舒服,整洁,舒适,安静", "脏,破旧,吵,潮湿,阴暗,乱"),
    ("服务,态度,服务员,客服,售后,店家", "好,热情,周到,耐心,贴心,靠谱,专业", "差,冷淡,恶劣,敷衍,糟糕,差劲"),
    ("质量,东西,产品,材质,料子,面料", "好,可靠,过关,扎实,棒,结实", "差,糟糕,劣质,差劲,粗糙"),
    ("味道,口感,菜,早餐", "好,可口,香,地道", "差,怪,恶心,难吃"),
    ("水果,苹果,橙子", "新鲜,好吃,甜,脆", "酸,难吃,烂,干瘪"),
    ("牛奶,酸奶,饮料", "好喝,新鲜,香,纯正", "难喝,腥,淡,怪"),
    ("做工,设计,外观,样子,款式", "精细,漂亮,好看,大气,用心", "粗糙,难看,丑,廉价,马虎"),
    ("剧情,故事,电影,片子,节奏,情节", "精彩,感人,好看,紧凑,有趣,动人", "无聊,拖沓,难看,老套,混乱,乏味"),
    ("演技,表演,配乐,画面,台词", "好,自然,到位,出色,感人,漂亮", "差,尴尬,做作,生硬,糟糕"),
    ("书,内容,文笔,观点,作者写的", "好,精彩,深刻,有趣,实用,生动", "空洞,乏味,肤浅,枯燥,无聊,啰嗦"),
    ("屏幕,画质,拍照", "清晰,好,出色", "模糊,差,糟糕,烂"),
    ("信号,音质,网络", "好,稳定,给力", "差,糟糕,烂"),
    ("手机,平板,电脑,系统", "流畅,快,好用,稳定,给力", "卡,慢,难用,卡顿,烂"),
    ("速度,反应,开机", "快,给力", "慢,差"),
    ("物流,快递,发货,送货", "快,及时,给力,准时", "慢,拖拉,磨蹭,糟糕"),
    ("包装", "结实,完好,精美,严实", "简陋,破损,随便,差"),
    ("价格,价钱", "实惠,便宜,公道,合理,划算", "贵,离谱,坑人,虚高"),
    ("电池,续航", "好,耐用,给力,强", "差,不行,糟糕,弱"),
    ("衣服,裤子,鞋子,尺码", "好看,舒服,合身,合适,漂亮", "难看,掉色,起球,扎人,丑"),
    ("洗发水,热水器,电器", "好,好用,实用", "差,难用,糟糕"),
    ("效果,去屑效果,加热效果", "好,明显,理想", "差,糟糕"),
    ("气味,香味", "好闻,清新,自然", "难闻,刺鼻,怪"),
    ("环境,餐厅,这家店", "好,优美,安静,舒服", "差,嘈杂,糟糕,脏乱"),
    ("位置,交通", "好,方便", "差,偏僻"),
)  # fmt: skip
"""Nouns, and adjectives that praise and criticize them."""
PREFIXES = (
    "",
    "",
    "",
    "",
    "这里的",
    "这家的",
    "这个",
    "他们家的",
    "总的来说,",
    "说实话,",
    "感觉",
    "我觉得",
    "个人认为",
)
ENDINGS = ("", "", "", "。", "!", "!", "~", "...")
DEGREES = ("很", "非常", "真", "特别", "挺", "真的很", "太", "十分", "相当", "超级", "比较", "都很", "还是很")
PRAISE_AS_CRITICISM = (
    "不{}", "一点也不{}", "一点都不{}", "不怎么{}", "不太{}", "不够{}", "并不{}", "不是很{}", "不算{}",
    "谈不上{}", "没有想象中{}", "没有说的那么{}", "根本不{}", "没那么{}", "哪里{}了", "完全不{}", "没有以前{}",
    "绝对不能说{}", "不见得{}", "真不{}",
)  # fmt: skip
"""Negations of an adjective that praises."""
CRITICISM_AS_PRAISE = (
    "不{}", "一点也不{}", "一点都不{}", "并不{}", "不算{}", "没有想象中那么{}", "没有别人说的那么{}",
    "完全不{}", "不会{}", "从来不{}", "没有一点{}的感觉", "不觉得{}", "绝对不{}", "丝毫不{}",
)  # fmt: skip
"""Negations of an adjective that criticizes."""
PHRASES = {
    "positive": (
        "很喜欢,非常喜欢,推荐,强烈推荐,值得推荐,值得购买,值得一看,很满意,非常满意,不后悔,没有后悔,没让我失望,"
        "没有让人失望,从没失望过,不会失望,没什么可挑剔的,挑不出毛病,找不到缺点,没有缺点,没有任何问题,"
        "没有不满意的地方,没什么不好,没毛病,没得说,无可挑剔,没有比这更好的了,再好不过了,好得不得了,"
        "好得没话说,还会再来,下次还买,会再来的,不愧是大牌,没有理由不喜欢,不得不说很好,不能不推荐,不难看,"
        "不难吃,不难用,不坏,不差,还不错,不错,真不错,相当不错,差不到哪去,不亏,没买亏,没上当,不是假货,没有异味,"
        "没有色差,没有噪音,不卡,不掉色,不起球,不漏水,没坏,一点问题都没有,没失望,没白来,没白买,不虚此行,"
        "爱不释手,谁说不好,怎么会不喜欢,超出预期,比想象中好,比预期的好,没想到这么好,没花冤枉钱,五星好评,"
        "给个好评,物超所值,不吵不闹很舒服"
    ),
    "negative": (
        "不喜欢,很不喜欢,一点也不喜欢,喜欢不起来,不推荐,不会推荐,没法推荐,不建议购买,不值得,不值得买,"
        "不值得看,不值这个价,不满意,很不满意,后悔,后悔买了,非常后悔,让人失望,很失望,太让我失望了,"
        "没有不失望的,问题很多,毛病不少,缺点太多,没有优点,没有一点好,没什么好的,毫无亮点,没有亮点,没有新意,"
        "没有比这更差的了,再差不过了,差得不得了,不会再来,不会再买,再也不来了,再也不买了,不敢恭维,没有诚意,"
        "没有意思,没意思,没劲,没用,没效果,没有效果,没有任何效果,不好,真不好,不好用,不好吃,不好看,不怎么样,"
        "不咋地,不行,不舒服,不干净,不新鲜,不方便,不靠谱,不合适,不清楚,不满,不是正品,不像正品,不能用,用不了,"
        "打不开,没人管,没人理,没法用,白花钱,白来一趟,浪费钱,浪费时间,不想再看,看不下去,吃不下去,不如不买,"
        "还不如别家,不如以前,好不到哪去,好什么好,谁会喜欢,怎么会推荐,哪里好了,比想象中差,不如预期,给个差评,"
        "差评,坑人,上当了,别买,千万别买,不要买,别来"
    ),
}  # fmt: skip
"""Judgements that need no aspect, separated by commas."""
PHRASES_AFTER_NOUN = {
    "positive": (
        "不错,真不错,相当不错,还不错,没得说,无可挑剔,没毛病,没让我失望,没有让人失望,没什么可挑剔的,挑不出毛病,超出预期,"
        "比想象中好,比预期的好,差不到哪去,没什么不好,没话说,让人满意"
    ),
    "negative": (
        "不行,真不行,不怎么样,不咋地,不敢恭维,让人失望,太让我失望了,不如预期,比想象中差,不如以前,问题很多,毛病不少,"
        "没什么好的,真不好,好不到哪去,不让人满意"
    ),
}
"""Judgements that follow any aspect, separated by commas."""
LATTER_COUNTS = (
    "虽然{},但是{}", "虽然{},不过{}", "虽然{},但{}", "尽管{},可是{}", "{},但是{}", "{},可是{}", "{},然而{}",
    "{}但{}", "本来以为{},没想到{}", "原以为{},结果{}", "别人都说{},我却觉得{}", "{}没错,可是{}",
    "以前{},现在{}",
)  # fmt: skip
"""Conjunctions of opposite statements, of which the second one counts."""
BOTH_AGREE = (
    "{},{}", "不仅{},而且{}", "{},也{}", "{},还{}", "{}。{}", "{},另外{}", "首先{},其次{}", "{},关键是{}",
)  # fmt: skip
"""Conjunctions of statements with the same sentiment."""
FULL_WIDTH = str.maketrans(",!", "\uff0c\uff01")
"""Chinese punctuation for that of ASCII, which the tables have because their rows are split at commas."""
FULL_WIDTH_FRACTION = 0.7
OPPOSITE = {"positive": "negative", "negative": "positive"}


class Sentence(NamedTuple):
    """A text and its label, "negative" or "positive"."""

    text: str
    label: str


def sentences(count: int, seed: int = 0) -> list[Sentence]:
    """Return `count` distinct sentences, in random order, half of them with each label."""
    generator = random.Random(seed)
    found: dict[str, Sentence] = {}
    for sentence in _random_sentences(generator):
        found.setdefault(sentence.text, sentence)
        if len(found) == count:
            break
    return list(found.values())


def _random_sentences(generator: random.Random) -> Iterator[Sentence]:
    """Yield sentences without end, with alternating labels."""
    while True:
        for label in OPPOSITE:
            kind = generator.random()
            if kind < 0.35:
                text = _contrast(label, generator)
            elif kind < 0.5:
                text = generator.choice(BOTH_AGREE).format(_clause(label, generator), _clause(label, generator))
            else:
                text = _clause(label, generator)
            text = generator.choice(PREFIXES) + text + generator.choice(ENDINGS)
            yield Sentence(text.translate(FULL_WIDTH) if generator.random() < FULL_WIDTH_FRACTION else text, label)


def _contrast(label: str, generator: random.Random) -> str:
    first, second = _clause(OPPOSITE[label], generator), _clause(label, generator)
    return generator.choice(LATTER_COUNTS).format(first, second)


def _clause(label: str, generator: random.Random) -> str:
    """Return a statement, a negated statement or a phrase with that label."""
    nouns, praise, criticism = (part.split(",") for part in generator.choice(ASPECTS))
    noun, kind = generator.choice(nouns), generator.random()
    if kind < 0.3:
        if generator.random() < 0.5:
            return generator.choice(PHRASES[label].split(","))
        return noun + generator.choice(PHRASES_AFTER_NOUN[label].split(","))
    direct, opposite = (praise, criticism) if label == "positive" else (criticism, praise)
    if kind < 0.6:
        return noun + generator.choice(DEGREES) + generator.choice(direct)
    patterns: Sequence[str] = CRITICISM_AS_PRAISE if label == "positive" else PRAISE_AS_CRITICISM
    adjective = generator.choice([word for word in opposite if not word.startswith("不")])
    return noun + generator.choice(patterns).format(adjective)
