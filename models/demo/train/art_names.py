"""Tables that map drawings of sets without code points to concepts."""

# Icon names of the set fxemoji where they differ from the names other sets use; "" where it draws something else.
FXEMOJI = {
    "1f430": "bunny", "1f407": "bunnyside", "1f436": "dog", "1f415": "dogside", "1f431": "cat", "1f408": "catside",
    "1f42d": "mouse", "1f401": "mouseside", "1f416": "pigside", "1f437": "pig", "1f42f": "tiger", "1f405": "tigerside",
    "1f406": "leopardside", "1f43c": "pandaface", "1f411": "sheep", "1f98a": "", "1f43a": "wolfface",
    "1f424": "babychick", "1f425": "frontfacingchick", "1f41d": "honeybee", "1f42b": "bactriancamel", "1f42a": "dromedarycamel",
    "1f409": "dragonside", "1f54a": "doveofpeace", "1f346": "aubergine", "1f336": "chilipepper", "1f33d": "earofmaize",
    "1f355": "sliceofpizza", "1f697": "automobile", "1f692": "fireengine", "1f3ce": "racecar", "1f684": "highspeedtrain",
    "1f685": "highspeedtrainbulletnose", "1f6a6": "verticaltrafficlight", "1f6a8": "policecarsrevolvinglight",
    "1f3b3": "bowling", "1f3af": "directhit", "1f3be": "tennisball", "1f3c0": "basketballandhoop", "1f3bf": "skiandskiboot",
    "1f460": "heels", "1f462": "boot", "1f454": "tie", "1f455": "", "1f45e": "mensshoe", "1f45f": "mensrunner",
    "1f576": "darksunglasses", "1f456": "jeans", "1f45b": "", "1f392": "schoolsatchel", "1f452": "womanshat",
    "1f4e3": "megaphone", "1f514": "bell", "1f4f1": "cellphone", "260e": "blacktelephone", "1f4bb": "personalcomputer",
    "1f5a5": "desktopcomputer", "2328": "wiredkeyboard", "1f5b1": "", "1f4be": "", "1f4bf": "opticaldisc", "1f4c0": "dvd",
    "1f50d": "leftmagnifyingglass", "1f50e": "rightmagnifyingglass", "1f526": "electrictorch", "1f4eb": "closedmailboxraised",
    "1f4ea": "closedmailboxlowered", "2709": "envelope", "1f4e6": "package", "1f58c": "lowerleftpaintbrush",
    "1f58d": "lowerleftcrayon", "270f": "pencil", "1f4c1": "filefolder", "1f4cc": "pushpin", "2702": "blackscissors",
    "1f512": "lock", "1f5e1": "daggerknife", "1f529": "nutandbolt", "1f6cf": "", "1f6cb": "", "1f6c1": "bathtub",
    "1f3e0": "housebuilding", "1f3f0": "europeancastle", "1f3db": "classicalbuilding", "1f30d": "europeafricaglobe",
    "1f30e": "americasglobe", "1f30f": "asiaaustraliaglobe", "1f31e": "sunwithface", "2600": "whitesun", "2b50": "star",
    "26c4": "snowmanwithoutsnow", "1f374": "forkandknife", "1f378": "cocktailglass", "1f37a": "beermug", "2615": "hotbeverage",
    "1f377": "wineglass", "1f366": "softicecream", "1f3c5": "sportsmedal", "1f423": "hatchingchick", "1f4fa": "television",
    "1f3ea": "", "1f433": "spurtingwhale", "1f43f": "chipmunk", "1f420": "tropicalfish", "26bd": "soccerball",
    "1f34e": "redapple", "1f34f": "greenapple", "1f421": "blowfish", "1f41a": "spiralshell", "1f411 ": "sheep", "1f333": "deciduoustree",
    "1f332": "evergreen", "1f34a": "tangerine", "1f357": "poultryleg", "1f5bc": "framewithpicture", "26f5": "sailboat",
    "1f48d": "ring", "1f48e": "gem", "1f381": "present", "1f3e1": "housewithgarden", "1f409 ": "dragonside",
}

# The same for the set streamline.
STREAMLINE = {
    "1f431": "", "1f436": "", "1f426": "", "1f411": "ewe1 ewe2", "1f38e": "", "1f4aa": "", "1f4d5": "", "1f4d7": "greenbook",
    "1f45f": "runningshoe", "1f462": "womansboot", "1f452": "womanshat", "1f392": "schoolbackpack", "1f48d": "ring1 ring2",
    "1f3c8": "americanfootball", "1f3af": "directhit", "1f3b2": "gamedice", "2744": "snowflake", "1f34a": "tangerine",
    "1f377": "wineglass redwineglass whitewineglass", "1f984": "unicornface", "1f43a": "wolfface",
}

# Photographs of objects among the Tux Paint stamps, by concept.
PHOTOS: dict[str, list[str]] = {}
