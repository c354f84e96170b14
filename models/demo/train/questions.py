"""Dialogues about a composed scene: what the demo model is taught, and what it is examined in.

One function a task; each draws a `Dialogue` from a scene's objects, or `None` where the scene has
no fit object. The first wording of a list is the published one, where the task has one; the others
are our own.
"""
from dataclasses import dataclass, field

# Where thirds of the picture meet, and how far from there a centre must be to be asked about.
THIRDS, MARGIN = (224 / 3, 448 / 3), 7.0
# Longest side in pixels: small below, medium between, large above; gaps are not asked about.
SMALL, MEDIUM, LARGE = 42, (54, 84), 98
MIN_SHIFT = 24.0  # pixels between two centres that are "left of" or "above" each other
MIN_RATIO = 1.5  # of the areas of two boxes of which one is the larger


@dataclass
class Turn:
    """A question with the scene's objects whose boxes are new in it, and how answers are judged."""
    question: str
    objects: list
    answer: str
    accept: list = None
    keys: list = None


@dataclass
class Dialogue:
    task: str
    turns: list = field(default_factory=list)
    subject: int = None  # the object that a question about one object is about


def names(n, start=1):
    return [f"<region{i}>" for i in range(start, start + n)]


def article(name):
    """`name` as a noun phrase."""
    last = name.split()[-1]
    if last in PLURALS:
        return name
    return ("an " if name[0] in "aeiou" and not name.startswith(("uni", "uku", "eu")) else "a ") + name


PLURALS = {"glasses", "grapes", "cherries", "jeans", "scissors", "sunglasses", "fries", "shorts",
           "skis", "mountains", "maracas", "chopsticks", "gloves", "bread", "cheese", "corn",
           "popcorn", "bacon", "garlic", "rice", "socks", "spaghetti", "broccoli", "ginger",
           "binoculars", "trousers", "luggage", "goggles", "chestnuts", "beans", "peanuts", "ice",
           "sushi", "tofu", "fire", "honey", "salt", "money"}


def centre(o):
    x1, y1, x2, y2 = o.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def area(o):
    x1, y1, x2, y2 = o.box
    return (x2 - x1) * (y2 - y1)


def longest(o):
    x1, y1, x2, y2 = o.box
    return max(x2 - x1, y2 - y1)


def third(v):
    """0, 1 or 2; `None` too near to a border."""
    if min(abs(v - t) for t in THIRDS) < MARGIN:
        return None
    return sum(v > t for t in THIRDS)


PLACES = {(0, 0): "at the top left", (1, 0): "at the top", (2, 0): "at the top right",
          (0, 1): "on the left", (1, 1): "in the centre", (2, 1): "on the right",
          (0, 2): "at the bottom left", (1, 2): "at the bottom", (2, 2): "at the bottom right"}


def place(o):
    """Words for where an object is, or `None` between two places."""
    return PLACES.get(tuple(third(v) for v in centre(o)))


def size_word(o):
    s = longest(o)
    if s < SMALL:
        return "small"
    if MEDIUM[0] < s < MEDIUM[1]:
        return "medium-sized"
    return "large" if s > LARGE else None


def phrase(o):
    """As much as is certain of an object, as a noun phrase: `a small red apple`."""
    words = [size_word(o), o.colour if o.colour_clear else None, o.name]
    return article(" ".join(w for w in words if w))


def described(o):
    where = place(o)
    return phrase(o) + (f" {where}" if where else "")


def description_keys(o):
    return [o.name] + [w for w in (o.colour if o.colour_clear else None, place(o)) if w]


def sentence(text):
    return text[0].upper() + text[1:] + "."


CATEGORY = [
    "What is <region1>?", "What is in <region1>?", "What does <region1> show?", "Name the object in <region1>.",
    "Which object is <region1>?", "What kind of thing is <region1>?", "Tell me what <region1> is.",
]
BARE = ["<region1>"]
CAPTION = [
    "Can you provide me with a detailed description of the region in the picture marked by <region1>?",
    "Describe <region1>.", "Describe <region1> in detail.", "Please describe the object in <region1>.",
    "Say as much as you can about <region1>.", "What do you see in <region1>?",
    "What can be seen in <region1> of this picture?", "Give a full description of <region1>.",
    "How would you describe <region1> to somebody who cannot see it?", "Write a caption for <region1>.",
    "I would like a detailed caption of <region1>.", "Explain what <region1> contains.",
    "Look at <region1> and tell me what is there.", "What is there in <region1>, and what does it look like?",
    "Please give me the details of <region1>.", "Caption the area <region1> for me.",
    "Describe the part of the image that <region1> marks.", "In one sentence, what is in <region1>?",
    "Could you describe <region1>?", "What is <region1>, what does it look like and where is it?",
]
COLOUR = ["What colour is <region1>?", "What is the colour of <region1>?", "Which colour does <region1> have?",
          "What color is <region1>?", "What is the main colour of <region1>?"]
POSITION = ["Where is <region1>?", "Where in the picture is <region1>?", "In which part of the image is <region1>?",
            "Where can I find <region1> in the picture?", "What is the position of <region1>?"]
SIZE = ["How large is <region1>?", "How big is <region1>?", "What is the size of <region1>?",
        "Is <region1> small, medium-sized or large?"]
CAPTIONS = [
    "Could you please give me a detailed description of these areas <list>?",
    "Describe the regions <list>", "What is in each of these regions: <list>",
    "Please say what can be seen in <list>", "Describe all of these in one sentence: <list>",
    "What do the areas <list> of the picture show?",
]
FOLLOW_UPS = [
    "Which part of your overall description corresponds to the specific area of the image <name> you are referring to?",
    "Which of these was <name>?", "What did you say about <name>?", "And which part describes <name>?",
]
WHY = ["why?", "Why?", "Why do you think so?", "How can you tell?", "What makes you say that?", "How do you know?"]


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def sample(rng, items, n):
    return [items[i] for i in rng.permutation(len(items))[:n]]


def category(rng, scene):
    o = pick(rng, scene.objects)
    if rng.random() < 0.25:
        return single("category", o, Turn(pick(rng, BARE), [o], o.name, accept=[o.name]))
    return single("category", o, Turn(pick(rng, CATEGORY), [o], sentence(article(o.name)), accept=[o.name]))


def single(task, o, turn):
    return Dialogue(task, [turn], subject=o)


def caption(rng, scene):
    o = pick(rng, scene.objects)
    turn = Turn(pick(rng, CAPTION), [o], sentence(described(o)), keys=description_keys(o))
    return single("caption", o, turn)


def about_one(task, wordings, answer):
    """A task that asks one attribute of one object; `answer` gives its words or `None`."""
    def make(rng, scene):
        fit = [o for o in scene.objects if answer(o)]
        if not fit:
            return None
        o = pick(rng, fit)
        return single(task, o, Turn(pick(rng, wordings), [o], sentence(answer(o)), accept=[answer(o)]))
    return make


def colour_word(o):
    return o.colour if o.colour_clear else None


colour = about_one("colour", COLOUR, colour_word)
position = about_one("position", POSITION, place)
size = about_one("size", SIZE, size_word)


def region_list(n):
    """As the published multi-region questions list them: a comma after every item."""
    return "".join(f"{r}," for r in names(n))


def join(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def captions(rng, scene):
    if len(scene.objects) < 2:
        return None
    chosen = sample(rng, scene.objects, int(rng.integers(2, min(4, len(scene.objects)) + 1)))
    question = pick(rng, CAPTIONS).replace("<list>", region_list(len(chosen)))
    text = sentence("there is " + join([described(o) for o in chosen]))
    turns = [Turn(question, chosen, text, keys=[o.name for o in chosen])]
    if rng.random() < 0.6:
        i = int(rng.integers(len(chosen)))
        follow = pick(rng, FOLLOW_UPS).replace("<name>", f"region {i + 1}")
        turns.append(Turn(follow, [], sentence(described(chosen[i])), keys=[chosen[i].name]))
    return Dialogue("captions", turns)


def yes_no(value):
    return "Yes." if value else "No."


def pair(rng, scene):
    if len(scene.objects) < 2:
        return None
    return sample(rng, scene.objects, 2)


def relation(rng, scene):
    chosen = pair(rng, scene)
    if chosen is None:
        return None
    kinds = [beside, above, larger, same]
    for i in rng.permutation(len(kinds)):
        turn = kinds[i](rng, scene, *chosen)
        if turn:
            return Dialogue("relation", [turn])
    return None


def only(kind):
    """A task that asks for this relation and no other: training has more of what is hard."""
    def make(rng, scene):
        chosen = pair(rng, scene)
        turn = kind(rng, scene, *chosen) if chosen else None
        return Dialogue("relation", [turn]) if turn else None
    return make


def beside(rng, scene, a, b):
    shift = centre(a)[0] - centre(b)[0]
    return sided(rng, a, b, shift, ("left of", "right of"), "to the ")


def above(rng, scene, a, b):
    shift = centre(a)[1] - centre(b)[1]
    return sided(rng, a, b, shift, ("above", "below"), "")


def sided(rng, a, b, shift, words, lead):
    if abs(shift) < MIN_SHIFT:
        return None
    true = words[0] if shift < 0 else words[1]
    if rng.random() < 0.35:
        which = "left or to the right of" if lead else "above or below"
        question = f"Is <region1> {lead}{which} <region2>?"
        answer = (lead + true).removesuffix(" of")
        return Turn(question, [a, b], sentence(answer), accept=[answer, true, true.removesuffix(" of")])
    asked = pick(rng, words)
    question = pick(rng, ["Is <region1> {} <region2>?", "Would you say that <region1> is {} <region2>?"])
    answer = yes_no(asked == true)
    return Turn(question.format(lead + asked), [a, b], answer, accept=[answer])


def larger(rng, scene, a, b):
    ratio = area(a) / area(b)
    if max(ratio, 1 / ratio) < MIN_RATIO:
        return None
    if rng.random() < 0.5:
        asked = pick(rng, ["larger", "smaller"])
        answer = yes_no((ratio > 1) == (asked == "larger"))
        return Turn(f"Is <region1> {asked} than <region2>?", [a, b], answer, accept=[answer])
    asked = pick(rng, ["larger", "smaller"])
    answer = "region1" if (ratio > 1) == (asked == "larger") else "region2"
    return Turn(f"Which is {asked}, <region1> or <region2>?", [a, b], sentence(answer), accept=[answer])


def same(rng, scene, a, b):
    twins = [(p, q) for p in scene.objects for q in scene.objects if p is not q and p.name == q.name]
    if twins and rng.random() < 0.6:
        a, b = pick(rng, twins)
    question = pick(rng, ["Are <region1> and <region2> the same kind of thing?",
                          "Do <region1> and <region2> show the same kind of object?"])
    answer = yes_no(a.name == b.name)
    return Turn(question, [a, b], answer, accept=[answer])


def pointing(rng, scene):
    chosen = sample(rng, scene.objects, 4)
    if len(chosen) < 4:
        return None
    target = int(rng.integers(4))
    if sum(o.name == chosen[target].name for o in chosen) > 1:
        return None
    question = pick(rng, ["Which region is the {}: {}, {}, {} or {}?", "Which one shows the {}: {}, {}, {} or {}?",
                          "Where is the {}: in {}, {}, {} or {}?"])
    answer = f"region{target + 1}"
    question = question.format(chosen[target].name, *names(4))
    return Dialogue("pointing", [Turn(question, chosen, sentence(answer), accept=[answer])])


def choice(rng, scene):
    o = pick(rng, scene.objects)
    others = sample(rng, [c for c in scene.vocabulary if c != o.name], 3)
    options = sample(rng, others + [o.name], 4)
    letters = [f"({letter}) {article(name)}" for letter, name in zip("ABCD", options)]
    question = pick(rng, ["What is <region1>? {}", "Which is right for <region1>? {}", "<region1> is: {}"])
    right = letters[options.index(o.name)]
    turns = [Turn(question.format(" ".join(letters)), [o], right + ".", accept=[right])]
    turns.append(Turn(pick(rng, WHY), [], reason(o), keys=[o.name]))
    return Dialogue("choice", turns, subject=o)


def reason(o):
    where = place(o)
    seen = f"what region1 shows{' ' + where if where else ''} looks like {phrase(o)}"
    return sentence("because " + seen)


def scene_wide(rng, scene):
    kinds = {o.name for o in scene.objects}
    if rng.random() < 0.5:
        asked = pick(rng, sorted(kinds))
    else:
        asked = pick(rng, [c for c in scene.vocabulary if c not in kinds])
    question = pick(rng, ["Is there {} in the picture?", "Does the picture show {}?", "Can you see {} anywhere?"])
    answer = yes_no(asked in kinds)
    o = pick(rng, scene.objects)
    # A region must be named in the first turn, so the question about the whole follows one about a part.
    first = Turn(pick(rng, CATEGORY), [o], sentence(article(o.name)))
    return Dialogue("scene", [first, Turn(question.format(article(asked)), [], answer, accept=[answer])])


def dialogue(rng, scene):
    o = pick(rng, scene.objects)
    turns = [Turn(pick(rng, CATEGORY), [o], sentence(article(o.name)), accept=[o.name])]
    later = []
    if colour_word(o):
        wording = pick(rng, ["What colour is region1?", "And what colour is region1?", "Which colour does region1 have?"])
        later.append(Turn(wording, [], sentence(o.colour), accept=[o.colour]))
    if place(o):
        wording = pick(rng, ["Where is region1?", "And where is region1?", "In which part of the image is region1?"])
        later.append(Turn(wording, [], sentence(place(o)), accept=[place(o)]))
    if size_word(o):
        later.append(Turn(pick(rng, ["How large is region1?", "And how big is region1?"]), [], sentence(size_word(o)),
                          accept=[size_word(o)]))
    if len(scene.objects) > 1:
        other = pick(rng, [p for p in scene.objects if p is not o])
        if abs(centre(o)[0] - centre(other)[0]) >= MIN_SHIFT:
            answer = yes_no(centre(o)[0] < centre(other)[0])
            later.append(Turn("Is region1 to the left of <region2>?", [other], answer, accept=[answer]))
    if not later:
        return None
    turns += sample(rng, later, int(rng.integers(1, min(2, len(later)) + 1)))
    return Dialogue("dialogue", turns, subject=o)


TASKS = {f.__name__: f for f in (category, caption, captions, relation, pointing, choice, dialogue)}
TASKS |= {"colour": colour, "position": position, "size": size, "scene": scene_wide}
RELATIONS = {f.__name__: only(f) for f in (above, larger, same)}
# Short answers about one region: what the region extractor learns first.
SHORT = ("category", "colour", "position", "size")
