"""Sentences that sentiment models of reviews often classify wrongly, by kind. The bundled model's card reports them.

They were written for this file, and their labels are obvious to a reader. They are too few to rank models.
"""

from __future__ import annotations

POSITIVE, NEGATIVE = "positive", "negative"

PROBES: dict[str, list[tuple[str, str]]] = {
    "plain opinions": [
        ("This movie was fantastic! I really enjoyed it.", POSITIVE),
        ("A dull, lifeless film with terrible acting.", NEGATIVE),
        ("The best performance of her career, and a story that stays with you.", POSITIVE),
        ("Two hours of my life that I will never get back.", NEGATIVE),
        ("Beautifully shot, moving, and very funny.", POSITIVE),
        ("The plot makes no sense and the dialogue is awful.", NEGATIVE),
        ("I loved every minute of it.", POSITIVE),
        ("Save your money and skip this one.", NEGATIVE),
    ],
    "negation": [
        ("This movie was not good.", NEGATIVE),
        ("It is not a bad film at all.", POSITIVE),
        ("I did not expect to like it, but I did.", POSITIVE),
        ("Nobody could call this a masterpiece.", NEGATIVE),
        ("There is nothing here to dislike.", POSITIVE),
        ("I can't say that I enjoyed it.", NEGATIVE),
        ("You will not be disappointed.", POSITIVE),
        ("It never becomes interesting.", NEGATIVE),
    ],
    "irony": [
        ("Oh great, another two hours of people staring at walls. Just what I needed.", NEGATIVE),
        ("A perfect film, if you want to fall asleep.", NEGATIVE),
        ("The popcorn was the best part of the evening.", NEGATIVE),
        ("Brilliant idea to cast a plank of wood as the hero.", NEGATIVE),
        ("I laughed so hard at this tragedy that I want to thank the writer.", NEGATIVE),
        ("What a joy: my favourite book, and not one page of it left.", NEGATIVE),
        ("So bad that I have watched it ten times and will watch it again tonight.", POSITIVE),
        ("I hate this film for making me cry like a baby in front of my friends.", POSITIVE),
    ],
    "other subjects": [
        ("The battery lasts two days and the screen is gorgeous.", POSITIVE),
        ("The zip broke after a week and they refused a refund.", NEGATIVE),
        ("Our waiter was friendly and the soup came hot.", POSITIVE),
        ("The room smelled of smoke and the shower was cold.", NEGATIVE),
        ("Support answered within minutes and fixed it.", POSITIVE),
        ("The update crashes every time I open it.", NEGATIVE),
        ("Shares rose after the company beat its forecast.", POSITIVE),
        ("Delivery took six weeks and the box was crushed.", NEGATIVE),
    ],
    "other languages": [
        ("Ein wunderbarer Film, ich habe jede Minute genossen.", POSITIVE),
        ("Un film ennuyeux et mal joué.", NEGATIVE),
        ("Una película maravillosa.", POSITIVE),
        ("Che noia, non lo consiglio a nessuno.", NEGATIVE),
        ("这部电影太精彩了，我非常喜欢。", POSITIVE),
        ("最悪の映画だった。", NEGATIVE),
        ("Отличный фильм, всем советую.", POSITIVE),
        ("Straszna nuda, szkoda czasu.", NEGATIVE),
    ],
}
"""Sentences and their labels, by kind."""
