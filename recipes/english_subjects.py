"""Subject areas of generated English sentences: their words, and clauses that tell how something went."""

from __future__ import annotations

from dataclasses import dataclass


def _words(words: str) -> tuple[str, ...]:
    return tuple(words.split(", "))


@dataclass(frozen=True)
class Subject:
    """A subject area: what is judged, words of praise and blame for it, and clauses that tell how it went."""

    thing: tuple[str, ...]
    part: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    use: tuple[str, ...]
    merit: tuple[str, ...]
    fault: tuple[str, ...]
    praise: tuple[str, ...]
    blame: tuple[str, ...]


SUBJECTS = (
    Subject(
        thing=_words(
            "film, movie, show, series, documentary, comedy, thriller, sequel, episode, drama, picture, season, "
            "finale, remake, cartoon, musical"
        ),
        part=_words(
            "the acting, the plot, the ending, the dialogue, the script, the music, the cast, the pacing, the "
            "direction, the soundtrack, the camera work, the story, the lead actor, the humour, the "
            "cinematography, the editing, the jokes, the twist, the characters, the villain, the score, the first "
            "half, the last act, the voice acting, the effects"
        ),
        good=_words(
            "good, great, funny, moving, gripping, clever, believable, original, touching, brilliant, memorable, "
            "convincing, entertaining, beautiful, interesting, exciting, fantastic, enjoyable, superb, wonderful, "
            "hilarious, absorbing, thoughtful, excellent, powerful, charming, well acted, beautifully shot, "
            "suspenseful, refreshing, satisfying, heartfelt, smart, engaging, stunning, delightful, witty, a "
            "masterpiece"
        ),
        bad=_words(
            "bad, boring, dull, predictable, silly, slow, annoying, confusing, awful, terrible, weak, lifeless, "
            "ridiculous, forgettable, clumsy, pointless, disappointing, tedious, stupid, unfunny, lame, dreadful, "
            "a mess, poorly written, shallow, pretentious, overlong, laughable, badly acted, horrible, "
            "uninspired, bland, a waste of time, painful to watch, unwatchable, contrived, a letdown, amateurish"
        ),
        use=_words("watch it again, see it twice, recommend it, sit through it again, watch the next one"),
        merit=_words("charm, wit, heart, chemistry, suspense, depth, style, energy, imagination"),
        fault=_words("clichés, plot holes, dull moments, weak scenes, bad jokes, filler, wooden acting"),
        praise=_words(
            "it kept me on the edge of my seat, it stayed with me for days, the whole audience laughed, I could "
            "watch it every week, the two hours flew by, my kids loved every minute, I was hooked from the first "
            "scene, it made my evening, we talked about it all night, everyone in the cinema applauded"
        ),
        blame=_words(
            "it put me to sleep, I turned it off after twenty minutes, half of the audience left, I kept looking "
            "at my watch, it made no sense at all, I wanted my money back, it drags on forever, the plot goes "
            "nowhere, I lost interest halfway through, we walked out"
        ),
    ),
    Subject(
        thing=_words(
            "phone, laptop, charger, headset, camera, printer, book, jacket, mattress, app, game, kettle, vacuum "
            "cleaner, watch, keyboard, tablet, backpack, blender, pair of shoes, toy, speaker, monitor, router, "
            "mouse, lamp, drill, pillow, coat, watch strap, bike, tent, coffee machine, toaster, novel, cookbook, "
            "perfume, shampoo, dress, bag, cable"
        ),
        part=_words(
            "the battery, the screen, the sound, the build quality, the fabric, the software, the case, the "
            "instructions, the picture, the reception, the buttons, the zip, the packaging, the fit, the design, "
            "the manual, the microphone, the display, the motor, the lid, the strap, the colour, the material, "
            "the setup, the app, the range, the handle, the price"
        ),
        good=_words(
            "good, great, sturdy, reliable, comfortable, fast, quiet, excellent, handy, durable, easy to use, "
            "well made, solid, perfect, lightweight, accurate, impressive, worth the price, awesome, amazing, "
            "wonderful, superb, top notch, great value, well designed, robust, waterproof, soft, responsive, "
            "crisp, bright, loud and clear, elegant, versatile, a bargain, exactly as described, user friendly, "
            "beautiful"
        ),
        bad=_words(
            "bad, flimsy, useless, noisy, slow, cheap, defective, uncomfortable, fragile, poor, unreliable, badly "
            "made, too small, overpriced, awful, hard to use, broken, worthless, terrible, horrible, junk, "
            "garbage, a waste of money, badly designed, faulty, clunky, buggy, heavy, dim, blurry, scratchy, "
            "laggy, misleading, not as described, a rip-off, cheaply made, unusable, disappointing"
        ),
        use=_words("buy it again, recommend it to a friend, order another one, keep it, buy from this brand again"),
        merit=_words("quality, value, support, durability, comfort, precision, battery life"),
        fault=_words("problems, issues, defects, bugs, scratches, glitches, crashes, flaws, complaints"),
        praise=_words(
            "it works as described, it arrived two days early, it does exactly what I need, it still works after "
            "a year, it fits perfectly, the charge lasts all day, it was ready in five minutes, it saves me a lot "
            "of time, it looks even better in person, the whole family uses it every day, it survived a fall, I "
            "bought a second one for my sister"
        ),
        blame=_words(
            "it broke after a week, it stopped working after two days, it arrived damaged, it does not fit, it "
            "never turned on, the strap came off, it leaks, it fell apart, it smells of plastic, I had to send it "
            "back, I asked for a refund, it does not hold a charge, it freezes all the time, the colour faded "
            "after one wash, it gets far too hot, parts were missing"
        ),
    ),
    Subject(
        thing=_words(
            "restaurant, hotel, café, bar, place, bakery, hostel, pizzeria, resort, museum, salon, gym, diner, "
            "pub, shop, buffet, spa, bistro, steakhouse, guest house, motel, food truck, tea house, ice cream "
            "parlour, campsite, theme park, zoo, theatre, market, beach bar, hair salon, cinema"
        ),
        part=_words(
            "the food, the service, the staff, the room, the breakfast, the bed, the waiter, the coffee, the "
            "soup, the dessert, the location, the view, the portion, the atmosphere, the bathroom, the pizza, the "
            "sushi, the steak, the curry, the salad, the bread, the wine, the menu, the price, the pool, the "
            "reception, the music, the towels, the parking, the kitchen, the owner, the terrace"
        ),
        good=_words(
            "good, great, delicious, friendly, clean, fresh, tasty, excellent, cosy, attentive, lovely, generous, "
            "helpful, welcoming, spotless, wonderful, quick, worth a visit, amazing, superb, fantastic, "
            "authentic, spacious, charming, charming and quiet, affordable, perfectly cooked, juicy, crisp, warm "
            "and friendly, efficient, elegant, relaxing, beautiful, memorable, peaceful, great value, top notch"
        ),
        bad=_words(
            "bad, cold, rude, dirty, stale, bland, overpriced, slow, noisy, terrible, greasy, unfriendly, "
            "tasteless, disgusting, mediocre, undercooked, awful, disappointing, horrible, filthy, tiny, soggy, "
            "burnt, oily, salty, unwelcoming, run down, smelly, dry, tough, flavourless, a tourist trap, chaotic, "
            "unsafe, gloomy, inattentive, a rip-off, cramped"
        ),
        use=_words("come back, eat here again, stay here again, return, go back, bring my friends here"),
        merit=_words("flavour, taste, hospitality, cleanliness, atmosphere, care"),
        fault=_words("complaints, problems, delays, mistakes, hidden fees, unpleasant surprises, noise"),
        praise=_words(
            "we felt at home at once, the waiter remembered us, we left full and happy, we have already booked "
            "for next year, I slept very well, the staff went out of their way to help, they gave us a free "
            "dessert, our table was ready on time, it is worth the detour, the children did not want to leave"
        ),
        blame=_words(
            "we waited an hour for a table, I found a hair in my soup, the sheets were stained, we both got sick "
            "afterwards, nobody cleaned the room, the bill was wrong, the shower did not work, we left hungry, "
            "they lost our booking, I could hear everything through the walls, we had to ask three times for "
            "water, they ignored us"
        ),
    ),
    Subject(
        thing=_words(
            "company, doctor, driver, teacher, delivery, support team, course, airline, bank, job, insurance, "
            "plumber, electrician, dentist, mechanic, moving company, courier, hotline, school, gym, landlord, "
            "taxi, repair shop, online shop, provider"
        ),
        part=_words(
            "the support, the delivery, the communication, the price, the advice, the agent, the website, the "
            "booking, the refund, the explanation, the team, the flight, the hotline, the staff, the "
            "installation, the contract, the repair, the invoice, the waiting time, the consultation, the lesson, "
            "the appointment, the technician"
        ),
        good=_words(
            "good, great, helpful, fast, professional, polite, honest, reliable, excellent, patient, kind, clear, "
            "fair, punctual, competent, outstanding, easy to deal with, amazing, wonderful, superb, courteous, "
            "knowledgeable, responsive, efficient, trustworthy, friendly, thorough, flexible, affordable, well "
            "organised, attentive, caring, a lifesaver, on time, transparent"
        ),
        bad=_words(
            "bad, useless, slow, unprofessional, rude, dishonest, unreliable, terrible, careless, late, "
            "incompetent, arrogant, unhelpful, misleading, unfair, hopeless, impossible to reach, awful, "
            "horrible, clueless, disorganised, unresponsive, overpriced, deceptive, lazy, hostile, a scam, a "
            "nightmare, chaotic, indifferent, greedy, impolite, disappointing"
        ),
        use=_words("use them again, call them again, recommend them, book with them again, trust them again"),
        merit=_words("patience, respect, honesty, expertise, support, care"),
        fault=_words("excuses, delays, mistakes, problems, hidden charges, complaints, errors"),
        praise=_words(
            "they solved my problem in one call, they arrived on time, I got my money back the same day, they "
            "explained everything in detail, they went above and beyond, the repair was done in an hour, they "
            "even called to ask if all was well, the parcel came a day early, they kept their word"
        ),
        blame=_words(
            "nobody ever called me back, they charged me twice, they cancelled at the last minute, they kept me "
            "on hold for an hour, the package never came, they lost my luggage, they sent the wrong item, they "
            "ignored my emails, the technician never showed up, they blamed me for their mistake, I am still "
            "waiting for my refund"
        ),
    ),
)
